"""`logagent doctor`: what it finds on a machine that is a folder, and that it keeps secrets."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent import doctor_command as command_module
from logagent.config import load
from logagent.doctor import Account, Case, Finding, Machine, Status, examination, examine, outlets
from logagent.doctor import access as access_module
from logagent.doctor import clock as clock_module
from logagent.doctor import listeners as listening
from logagent.doctor.access import READ, WRITE
from logagent.doctor.clock import clock, time_zone
from logagent.doctor.kernel import inotify, memory, open_files
from logagent.doctor.listeners import journal, listeners, wants_journal
from logagent.doctor.outlets import reachable, sinks
from logagent.doctor.sequences import sequences
from logagent.doctor.software import bundle
from logagent.doctor.storage import disk, overrides, state
from logagent.doctor.systemd import sandbox, service
from logagent.doctor.units import account_of, installed_unit
from logagent.doctor.watched import inputs
from logagent.doctor_command import doctor_command, lines
from logagent.errors import EXIT_OK, EXIT_UNWELL, ConfigError, StateError
from logagent.sanitise import printable
from logagent.service import parts
from logagent.service.state import StateFolder

from .sequences.fakes import bundle as sequences_bundle

OTHER = os.getuid() + 4321  # owns no file of the tests; so it does not matter who runs them
ADA = Account("ada", OTHER, frozenset({OTHER}), home="/home/ada")
UNIT = """\
[Unit]
Description=x
[Service]
DynamicUser=yes
SupplementaryGroups=adm systemd-journal
StateDirectory=logagent
ProtectHome=yes
ProtectSystem=strict
PrivateNetwork=yes
MemoryMax=64M
LimitNOFILE=16384
"""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the configuration of the machine the tests run on."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", "/nonexistent")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


class Box:
    """A folder that stands for a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        self.machine = Machine(ADA, root=str(root), environ={"PATH": "/usr/bin"})
        self.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n")
        self.write("/etc/group", f"adm:x:{os.getgid()}:syslog\nada:x:1000:\n")

    def write(self, path: str, data: str | bytes = "", mode: int = 0o644) -> Path:
        """Write a file of the machine, with the folders above it open to all."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())
        place.chmod(mode)
        return place

    def folder(self, path: str, mode: int = 0o755) -> Path:
        """Make a folder of the machine."""
        place = self.root / path.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)
        return place

    def case(self, network: bool = False, **values: Any) -> Case:
        """Return a case with these values of the configuration (`__` for the dot)."""
        given = {"state.dir": "/var/lib/logagent"}
        given |= {key.replace("__", "."): value for key, value in values.items()}
        return Case(self.machine, load(None, given), network=network)

    def as_unit(self, *drop_ins: str) -> None:
        """Install the unit, and look as its user."""
        self.write("/usr/lib/systemd/system/logagent.service", UNIT)
        for number, text in enumerate(drop_ins):
            self.write(f"/etc/systemd/system/logagent.service.d/{number}.conf", text)
        unit = installed_unit(self.machine)
        self.machine = replace(self.machine, account=account_of(self.machine, "logagent", unit))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def told(findings: Iterator[Finding], status: Status) -> str:
    """Return what was found with that status and its cures, one line each."""
    return "\n".join(f"{each.found} -> {each.fix}" for each in findings if each.status is status)


def good(findings: Iterator[Finding]) -> bool:
    return {Status.ok} == {each.status for each in findings}


# The examination as a whole


def test_an_empty_folder_is_a_machine_of_which_every_check_says_something(box: Box) -> None:
    found = list(examine(box.case(watch__paths=["/var/log"])))

    looked_at = {each.check for each in found}
    quiet = {"network", "sandbox", "sequences"}  # no address to reach, no unit, not enabled
    assert {name for name, _, _ in examination.CHECKS} - quiet <= looked_at
    assert "" not in looked_at
    assert all(each.fix for each in found if each.status in (Status.warning, Status.problem))
    assert not any("could not look" in each.found for each in found)


def test_a_check_that_fails_is_a_finding_and_the_others_are_made(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_case: Case) -> Iterator[Finding]:
        yield Finding("", Status.ok, "so far so good")
        raise ZeroDivisionError("by \x1b[31m0")

    checks = (("first", broken, False), ("clock", clock, False))
    monkeypatch.setattr(examination, "CHECKS", checks)

    found = list(examine(box.case()))

    assert ["first", "first"] == [each.check for each in found[:2]]
    assert r"could not look: ZeroDivisionError: by \x1b[31m0" == found[1].found
    assert "clock" == found[2].check


def test_without_a_usable_configuration_the_machine_is_looked_at_all_the_same(box: Box) -> None:
    found = list(examine(Case(box.machine, None, ConfigError("x:1: not TOML\ny"))))

    problems = [each.found for each in found if each.status is Status.problem]
    assert ["x:1: not TOML", "y"] == problems
    assert {"versions", "clock", "service"} <= {each.check for each in found}
    assert "inputs" in found[-1].found


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_a_finding_quotes_it_is_one_printable_line(found: str, fix: str) -> None:
    finding = Finding("x", Status.warning, found, fix)

    for line in lines([finding], colour=False):
        assert line == printable(line, 5000)


# Inputs


def test_a_file_that_only_a_group_may_read_names_the_group_and_how_to_join_it(box: Box) -> None:
    box.write("/var/log/syslog", "x\n", 0o640)
    box.write("/var/log/open.log", "x\n")

    found = told(inputs(box.case(watch__paths=["/var/log"])), Status.warning)

    assert "1 file that user ada cannot read: /var/log/syslog" in found
    assert "group adm" in found
    assert "sudo usermod -aG adm ada" in found


def test_the_fix_for_the_unit_is_a_drop_in(box: Box) -> None:
    box.write("/etc/group", f"www-data:x:{os.getgid()}:\n")
    box.write("/var/log/web.log", "x\n", 0o640)
    box.as_unit()

    found = told(inputs(box.case(watch__paths=["/var/log"])), Status.problem)

    assert "systemctl edit logagent: [Service] SupplementaryGroups=www-data" in found


def test_a_member_of_the_group_is_told_that_all_is_well(box: Box) -> None:
    box.write("/var/log/syslog", "x\n", 0o640)
    box.as_unit()  # which joins adm

    assert good(inputs(box.case(watch__paths=["/var/log"])))


def test_a_file_of_its_owner_alone_needs_an_access_list(box: Box) -> None:
    box.write("/var/log/a.log", "x\n", 0o600)

    found = told(inputs(box.case(watch__paths=["/var/log"])), Status.problem)

    assert "only its owner may read it" in found
    assert "sudo setfacl -m u:ada:r /var/log/a.log" in found


@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_a_folder_that_cannot_be_listed_is_told_once(box: Box, mode: int) -> None:
    for number in range(5):
        box.write(f"/var/log/app/{number}.log", "x\n")
    box.folder("/var/log/app", mode)

    found = told(inputs(box.case(watch__paths=["/var/log"])), Status.problem)

    assert "1 folder that user ada cannot read: /var/log/app (only its owner may list it)" in found


def test_a_parent_that_cannot_be_passed_through_is_what_is_named(box: Box) -> None:
    box.write("/srv/app/logs/a.log", "x\n")
    box.folder("/srv/app", 0o700)

    found = told(inputs(box.case(watch__paths=["/srv/app/logs/a.log"])), Status.problem)

    assert "/srv/app (only its owner may pass through it)" in found
    assert "sudo setfacl -m u:ada:x /srv/app" in found


def test_a_file_named_itself_needs_no_list_of_its_folder(box: Box) -> None:
    box.write("/srv/a.log", "x\n")
    box.folder("/srv", 0o711)

    assert good(inputs(box.case(watch__paths=["/srv/a.log"])))


def test_a_path_that_matches_nothing_is_a_problem_only_if_nothing_else_is_read(box: Box) -> None:
    box.write("/var/log/a.log", "x\n")

    alone = told(inputs(box.case(watch__paths=["/opt/x.log"])), Status.problem)
    beside = list(inputs(box.case(watch__paths=["/var/log", "/opt/x.log"])))

    assert "/opt/x.log: No such file or directory" in alone
    assert "/opt/x.log" in told(iter(beside), Status.warning)
    assert "" == told(iter(beside), Status.problem)


def test_files_that_are_not_text_are_noted_and_those_left_out_are_not_told(box: Box) -> None:
    box.write("/var/log/a.log", "x\n")
    box.write("/var/log/wtmp", bytes(1024))
    box.write("/var/log/secret.log", "x\n", 0o600)

    found = list(inputs(box.case(watch__paths=["/var/log"], watch__exclude=["secret*"])))

    assert "1 file left out, not text: wtmp" in told(iter(found), Status.note)
    assert not any("secret" in each.found for each in found)


def test_nobody_is_told_to_join_a_group_for_what_is_no_text(box: Box) -> None:
    box.write("/var/log/a.log", "x\n")
    box.write("/var/log/btmp", "", 0o660)
    box.write("/var/log/btmp.1", "", 0o660)

    found = list(inputs(box.case(watch__paths=["/var/log"])))

    assert "2 files left out, not text: btmp, btmp.1" in told(iter(found), Status.note)
    assert "" == told(iter(found), Status.warning)


def test_a_network_file_system_is_said_to_be_looked_at_on_a_timer(box: Box) -> None:
    box.write("/mnt/nas/a.log", "x\n")
    box.write(
        "/proc/self/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /mnt/nas rw - nfs4 nas:/x rw\n",
    )

    found = told(inputs(box.case(watch__paths=["/mnt/nas"])), Status.note)

    assert "on nfs4" in found
    assert "every 1 s" in found


def test_root_is_told_that_it_may_read_what_a_service_may_not(box: Box) -> None:
    box.machine = replace(box.machine, account=Account("root", 0))
    box.write("/var/log/a.log", "x\n", 0o600)

    found = list(inputs(box.case(watch__paths=["/var/log"])))

    assert "--user NAME" in told(iter(found), Status.note)
    assert "" == told(iter(found), Status.problem)


def test_a_hostile_name_reaches_neither_the_terminal_nor_a_command(box: Box) -> None:
    box.write("/var/log/\x1b[2J; rm -rf x.log", "x\n", 0o600)

    found = [each for each in inputs(box.case(watch__paths=["/var/log"])) if each.fix]

    assert found
    assert not any("\x1b" in each.found + each.fix or "rm -rf" in each.fix for each in found)


ACL = [(1, 6, 0), (2, 4, 77), (4, 0, 0), (8, 4, 88), (0x10, 4, 0), (0x20, 0, 0)]


@pytest.mark.parametrize(
    ("uid", "groups", "rights"),
    [
        (5, set(), 6),  # the owner, whom the mask does not bind
        (77, set(), 4),  # named
        (9, {88}, 4),  # in a named group
        (9, {6}, 0),  # in the owning group
        (9, {6, 88}, 4),
        (9, set(), 0),
    ],
)
def test_access_lists_give_what_acl_5_says(uid: int, groups: set[int], rights: int) -> None:
    status: Any = SimpleNamespace(st_uid=5, st_gid=6)

    assert rights == access_module._rights(ACL, status, uid, frozenset(groups))


def test_an_access_list_of_a_file_is_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.write("/var/log/a.log", "x\n", 0o640)
    entries = [(1, 6, 0), (2, 4, OTHER), (4, 4, 0), (0x10, 4, 0), (0x20, 0, 0)]
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)

    def getxattr(path: str, _name: str) -> bytes:
        if path.endswith("a.log"):
            return data
        raise OSError

    monkeypatch.setattr(access_module.os, "getxattr", getxattr)  # not every file system has them

    assert box.case().access.obstacle("/var/log/a.log", READ) is None
    assert box.case().access.obstacle("/var/log/a.log", WRITE) is not None


# Journal and listeners


def journal_box(box: Box, folder: str = "/var/log/journal") -> Box:
    box.write("/usr/bin/journalctl", "", 0o755)
    box.write(f"{folder}/abc/system.journal", "x", 0o640)
    return box


def test_a_journal_that_may_not_be_read_is_a_problem_with_the_group_to_join(box: Box) -> None:
    found = told(journal(journal_box(box).case(journal__enabled=True)), Status.problem)

    assert "user ada may not read the system's journal" in found
    assert "systemd-journal" in found


def test_a_journal_in_memory_is_noted(box: Box) -> None:
    case = journal_box(box, "/run/log/journal").case(journal__enabled=True)

    assert "before a reboot is gone" in told(journal(case), Status.note)


def test_a_journal_that_is_asked_for_and_not_there_is_a_problem(box: Box) -> None:
    assert "not installed" in told(journal(box.case(journal__enabled=True)), Status.problem)


def test_a_member_of_the_group_may_read_the_journal(box: Box) -> None:
    journal_box(box).as_unit()

    assert good(journal(box.case(journal__enabled=True)))


@pytest.mark.parametrize("enabled", ["auto", True, False])
@pytest.mark.parametrize("paths", [None, ["/var/log"]])
@pytest.mark.parametrize("there", [(), ("syslog",), ("journal",), ("syslog", "journal")])
def test_whether_the_journal_is_read_is_decided_as_the_agent_decides_it(
    box: Box,
    monkeypatch: pytest.MonkeyPatch,
    enabled: Any,
    paths: list[str] | None,
    there: tuple[str, ...],
) -> None:
    box.write("/usr/bin/journalctl", "", 0o755)
    if "syslog" in there:
        box.write("/var/log/syslog")
    if "journal" in there:
        box.folder("/var/log/journal")
    case = box.case(journal__enabled=enabled, watch__paths=paths)
    monkeypatch.setattr(parts, "_SYSTEM_LOGS", [str(box.root / "var/log/syslog")])
    monkeypatch.setattr(parts, "_JOURNALS", [str(box.root / "var/log/journal")])
    monkeypatch.setattr(parts, "_which", lambda _command: True)

    assert parts._wants_journal(case.chosen) == wants_journal(case)


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_a_problem_unless_it_is_the_agent_s_own(box: Box, taken: int) -> None:
    case = box.case(syslog__tcp=f"127.0.0.1:{taken}")
    assert "in use by another program" in told(listeners(case), Status.problem)

    lock(box, 812)
    assert good(listeners(box.case(syslog__tcp=f"127.0.0.1:{taken}")))


def lock(box: Box, pid: int) -> None:
    status = box.write("/var/lib/logagent/lock").stat()
    where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    box.write("/proc/locks", f"1: POSIX  ADVISORY  READ 1 00:00:1 0 EOF\n"
                             f"2: FLOCK  ADVISORY  WRITE {pid} {where} 0 EOF\n")  # fmt: skip


def test_a_free_port_can_be_listened_on(box: Box) -> None:
    assert good(listeners(box.case(syslog__udp="127.0.0.1:0", syslog__tcp="127.0.0.1:0")))


def test_a_privileged_port_needs_the_capability(box: Box) -> None:
    box.as_unit()
    case = box.case(syslog__udp="127.0.0.1:514")
    assert "may not listen on a port below 1024" in told(listeners(case), Status.problem)

    case.unit.values["AmbientCapabilities"] = "CAP_NET_BIND_SERVICE"  # type: ignore[union-attr]
    assert listening._privileged(case, 514) is None


def test_a_name_is_not_looked_up_unasked(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> list[Any]:
        raise AssertionError

    monkeypatch.setattr("logagent.doctor.listeners.look_up", never)

    found = told(listeners(box.case(syslog__udp="logs.example:5514")), Status.note)

    assert "logs.example is a name, not looked up" in found


# Kernel


@pytest.mark.parametrize(
    ("watches", "status"), [(8192, Status.ok), (3, Status.note), (1, Status.warning)]
)
def test_inotify_is_compared_with_the_folders_to_watch(
    box: Box, watches: int, status: Status
) -> None:
    box.write("/var/log/a.log", "x\n")
    box.write("/var/log/app/a.log", "x\n")
    box.write("/proc/sys/fs/inotify/max_user_watches", f"{watches}\n")
    box.write("/proc/sys/fs/inotify/max_user_instances", "128\n")

    found = list(inotify(box.case(watch__paths=["/var/log"])))

    assert [status] == [each.status for each in found]
    assert "2 folders" in found[0].found
    assert status is Status.ok or "fs.inotify.max_user_watches=8192" in found[0].fix


def test_the_unit_s_limit_of_open_files_is_the_one_that_counts(box: Box) -> None:
    box.as_unit("[Service]\nLimitNOFILE=50\n")
    box.write("/var/log/a.log", "x\n")

    found = told(open_files(box.case(watch__paths=["/var/log"])), Status.warning)

    assert "the unit may open 50" in found
    assert "LimitNOFILE=" in found


def test_little_memory_is_told(box: Box) -> None:
    case = box.case(model__backend="numpy")
    box.write("/proc/meminfo", "MemTotal: 60000 kB\nMemAvailable: 9000 kB\n")
    assert "available" in told(memory(case), Status.warning)
    box.write("/proc/meminfo", "MemTotal: 20000 kB\nMemAvailable: 9000 kB\n")
    assert "available" in told(memory(case), Status.problem)
    box.write("/proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 900000 kB\n")
    assert good(memory(case))


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/a/b", "/sys/fs/cgroup/a/memory.max"),
        ("4:memory:/a/b", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"),
    ],
)
def test_a_limit_of_a_control_group_above_is_found(box: Box, line: str, file: str) -> None:
    box.write("/proc/self/cgroup", f"{line}\n")
    box.write(file, f"{20 << 20}\n")

    assert "would be killed" in told(memory(box.case(model__backend="numpy")), Status.problem)


# Clock


def test_a_clock_before_the_installation_is_a_problem(box: Box) -> None:
    box.machine = replace(box.machine, now=lambda: 86400.0)

    assert "1970-01-02" in told(clock(box.case()), Status.problem)


def test_a_clock_before_the_saved_state_is_a_problem(box: Box) -> None:
    later = time.time() + 20 * 365 * 86400
    os.utime(box.write("/var/lib/logagent/state"), (later, later))

    assert "the saved state" in told(clock(box.case()), Status.problem)


def test_that_nothing_is_known_of_the_synchronisation_is_said(box: Box) -> None:
    assert "unknown" in told(clock(box.case()), Status.note)

    box.write("/run/systemd/timesync/synchronized")
    assert good(clock(box.case()))


@pytest.mark.parametrize(("rtc", "status"), [(True, Status.note), (False, Status.warning)])
def test_an_unsynchronised_clock_is_worse_without_a_battery(
    box: Box, monkeypatch: pytest.MonkeyPatch, rtc: bool, status: Status
) -> None:
    monkeypatch.setattr(clock_module, "_kernel_state", lambda: 5)
    monkeypatch.setattr(Machine, "real", True)  # so that the kernel is asked
    monkeypatch.setattr(Machine, "at", lambda _, path: f"{box.root}{path}")
    if rtc:
        box.folder("/sys/class/rtc/rtc0")

    assert "nothing that keeps it right" in told(clock(box.case()), status)


def test_the_zone_is_told_and_where_it_is_from(box: Box) -> None:
    (box.root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Rome")
    assert "Europe/Rome" in told(time_zone(box.case()), Status.ok)

    box.machine = replace(box.machine, environ={"TZ": "Asia/Tokyo"})
    assert "Asia/Tokyo" in told(time_zone(box.case()), Status.note)


# Disk and state


def statvfs(**values: int) -> Callable[[str], Any]:
    usual = {"f_flag": 0, "f_bfree": 10**6, "f_bavail": 10**6, "f_frsize": 4096}
    usual |= {"f_files": 10**6, "f_favail": 10**6}
    return lambda _path: SimpleNamespace(**{**usual, **values})


@pytest.mark.parametrize(
    ("facts", "status", "said"),
    [
        ({}, Status.ok, "4.1 GB free"),
        ({"f_flag": os.ST_RDONLY}, Status.problem, "read-only"),
        ({"f_bavail": 10}, Status.problem, "free"),
        ({"f_bavail": 1000}, Status.warning, "it may grow to"),
        ({"f_favail": 3}, Status.problem, "only 3 inodes"),
        ({"f_files": 0, "f_favail": 0}, Status.ok, "free"),  # btrfs counts none
    ],
)
def test_room_is_looked_at(box: Box, facts: dict[str, int], status: Status, said: str) -> None:
    box.machine = replace(box.machine, statvfs=statvfs(**facts))

    assert said in told(disk(box.case()), status)


@pytest.mark.parametrize(
    ("kind", "source", "status", "said"),
    [
        ("tmpfs", "tmpfs", Status.warning, "lost at a reboot"),
        ("overlay", "overlay", Status.note, "an overlay"),
        ("ext4", "/dev/mmcblk0p2", Status.note, "on flash"),
    ],
)
def test_a_state_that_does_not_last_is_told(
    box: Box, kind: str, source: str, status: Status, said: str
) -> None:
    box.write("/proc/self/mountinfo", f"1 0 8:1 / / rw,noatime shared:1 - {kind} {source} rw\n")

    assert said in told(disk(box.case()), status)


def test_a_state_folder_that_cannot_be_made_is_a_problem(box: Box) -> None:
    box.folder("/var/lib", 0o755)

    assert "may not make it in /var/lib" in told(state(box.case()), Status.problem)


def test_the_unit_s_state_folder_is_made_by_systemd(box: Box) -> None:
    box.as_unit()
    case = Case(box.machine, load(None, {}))

    assert "/var/lib/logagent" == case.state_folder
    assert "systemd makes it" in told(state(case), Status.ok)


def test_another_user_s_state_folder_is_below_its_home(box: Box) -> None:
    assert "/home/ada/.local/state/logagent" == Case(box.machine, load(None, {})).state_folder


def test_a_saved_state_is_read_and_one_that_is_damaged_is_told(box: Box) -> None:
    mine = Account("me", os.getuid(), frozenset({os.getgid()}))
    box.machine = replace(box.machine, account=mine)
    folder = StateFolder(box.root / "var/lib/logagent", lambda *_: None)
    folder.save({"x": 1})
    folder.close()
    (box.root / "var/lib/logagent").chmod(0o700)
    (box.root / "var/lib/logagent/lock").unlink()

    assert "it loads" in told(state(box.case()), Status.ok)

    data = box.root / "var/lib/logagent/state"
    data.write_bytes(data.read_bytes()[:-1] + b"\xff")
    assert "sets it aside" in told(state(box.case()), Status.warning)
    assert "state.previous" not in os.listdir(data.parent)  # nothing was changed


def test_the_agent_that_holds_the_lock_is_named_without_trying_the_lock(box: Box) -> None:
    lock(box, 812)

    assert "process 812" in told(state(box.case()), Status.note)


def test_a_lock_of_another_file_of_that_number_is_not_taken_for_the_agent_s(box: Box) -> None:
    lock(box, 812)
    table = box.root / "proc/locks"
    inode = (box.root / "var/lib/logagent/lock").stat().st_ino
    table.write_text(f"1: FLOCK  ADVISORY  WRITE 812 ff:fe:{inode} 0 EOF\n")
    assert "no agent uses it now" in told(state(box.case()), Status.ok)

    # btrfs and overlays show another device than the file has: then the command tells.
    box.write("/proc/812/cmdline", "python\0-m\0logagent.service\0")
    assert "process 812" in told(state(box.case()), Status.note)


def test_what_was_taught_is_counted(box: Box) -> None:
    entry = '[[override]]\nid = "{}"\nverdict = "normal"\ngroup = "x{}"\n'
    text = entry.format("a", 1) + entry.format("b", 2) + "expires = 1999-01-01T00:00:00Z\n"
    file = box.write("/var/lib/logagent/overrides.toml", text)
    assert "in force: 1, expired: 1" in told(overrides(box.case()), Status.ok)

    file.write_text("[[override")
    assert "nothing of the file is in force" in told(overrides(box.case()), Status.problem)


# Sinks


def test_a_secret_is_looked_at_and_never_told(box: Box) -> None:
    box.write("/etc/token", "hunter2-hunter2", 0o644)
    box.write("/etc/url", "https://hooks.example/T0P-SECRET two words", 0o644)
    case = box.case(webhook__url_file="/etc/url", webhook__token_file="/etc/token")

    found = [*sinks(case), *reachable(case)]

    said = "\n".join(f"{each.found} {each.fix}" for each in found)
    assert "others may read it (mode 0644)" in told(iter(found), Status.warning)
    assert "must hold one line" in told(iter(found), Status.problem)
    assert "hunter2" not in said
    assert "T0P-SECRET" not in said
    assert "hooks.example" not in said


def test_a_secret_the_account_cannot_read_is_a_problem(box: Box) -> None:
    box.write("/etc/token", "hunter2", 0o600)
    case = box.case(webhook__url="https://x.example/", webhook__token_file="/etc/token")

    assert "user ada cannot read it" in told(sinks(case), Status.problem)


def test_what_sinks_need_and_is_not_there_is_a_problem(box: Box) -> None:
    box.write("/etc/ca.pem", "DER?")
    case = box.case(
        mail__to=["ops@example.org"],
        sinks__syslog="local",
        sinks__jsonl="/nowhere/alerts.jsonl",
        mqtt__address="mqtts://broker.example",
        mqtt__ca_file="/etc/ca.pem",
    )

    found = told(sinks(case), Status.problem)

    for each in ("/usr/sbin/sendmail", "/dev/log", "/nowhere", "no certificate in PEM form"):
        assert each in found


def test_addresses_are_tried_only_when_asked(
    box: Box, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"mqtt://127.0.0.1:{taken}"

    found = list(reachable(box.case(network=True, mqtt__address=address)))
    assert [f"mqtt.address: 127.0.0.1, port {taken}: takes connections"] == [
        each.found for each in found
    ]

    monkeypatch.setattr(outlets, "Lookup", None)
    assert "--network" in told(reachable(box.case(mqtt__address=address)), Status.note)


def test_an_address_that_refuses_is_a_problem(box: Box) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        case = box.case(network=True, sinks__syslog=f"tcp://127.0.0.1:{free.getsockname()[1]}")

        assert "refused" in told(reachable(case), Status.problem)


def test_an_address_that_is_a_secret_is_tried_and_not_told(box: Box, taken: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        box.write("/etc/url", f"http://127.0.0.1:{free.getsockname()[1]}/T0P-SECRET")
        case = box.case(
            network=True, webhook__url_file="/etc/url", mqtt__address=f"mqtt://127.0.0.1:{taken}"
        )
        first, second = reachable(case)

    assert Status.problem is first.status
    assert not any(each in first.found + first.fix for each in ("127.0.0.1", "T0P-SECRET"))
    assert Status.ok is second.status


# The unit


def test_a_sandbox_that_contradicts_the_configuration_is_a_problem(box: Box) -> None:
    box.as_unit()
    case = box.case(
        watch__paths=["/home/ada/app.log"],
        mqtt__address="mqtt://broker.example",
        sinks__jsonl="/srv/alerts.jsonl",
    )

    found = told(sandbox(case), Status.problem)

    assert "ProtectHome=yes hides /home/ada/app.log" in found
    assert "PrivateNetwork=yes, but mqtt needs the network" in found
    assert "the unit may not write /srv/alerts.jsonl" in found
    assert "groups that are not there: systemd-journal" in found


def test_drop_ins_go_before_the_unit(box: Box) -> None:
    box.as_unit(
        "[Service]\nPrivateNetwork=no\nSupplementaryGroups=\nSupplementaryGroups=adm\n",
        "[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths=-/home/ada\nReadWritePaths=/srv\n",
    )
    case = box.case(
        watch__paths=["/home/ada/app.log"],
        mqtt__address="mqtt://broker.example",
        sinks__jsonl="/srv/alerts.jsonl",
    )

    assert good(sandbox(case))


@pytest.mark.parametrize(
    ("shown", "status", "said"),
    [
        ("ActiveState=active\nMainPID=77\nUnitFileState=enabled\n", Status.ok, "process 77"),
        ("ActiveState=failed\n", Status.problem, "it failed"),
        ("ActiveState=inactive\n", Status.warning, "does not run"),
        ("ActiveState=active\nNRestarts=9\n", Status.warning, "restarted 9 times"),
        ("ActiveState=active\nUnitFileState=disabled\n", Status.warning, "at boot"),
    ],
)
def test_what_systemctl_says_is_told(box: Box, shown: str, status: Status, said: str) -> None:
    box.as_unit()
    box.folder("/run/systemd/system")

    def run(_command: Sequence[str]) -> tuple[int, str]:
        return 0, shown

    box.machine = replace(box.machine, run=run)

    assert said in told(service(box.case()), status)


def test_a_machine_without_systemd_is_no_problem(box: Box) -> None:
    assert "systemd does not run here" in told(service(box.case()), Status.note)


def test_a_user_that_is_not_there_is_refused(box: Box) -> None:
    with pytest.raises(ConfigError, match="no such user"):
        account_of(box.machine, "eve", None)

    assert 1000 == account_of(box.machine, "ada", None).uid


# The bundle


def test_a_bundle_that_is_no_bundle_is_a_problem(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "x.bundle"
    file.write_bytes(b"no bundle")

    assert "x.bundle" in told(bundle(box.case(model__bundle=str(file))), Status.problem)


def test_an_updated_bundle_that_cannot_be_used_gives_way_to_the_shipped_one(box: Box) -> None:
    box.write("/var/lib/logagent/models/current.bundle", "damaged")

    assert "the shipped one is used instead" in told(bundle(box.case()), Status.warning)


def test_sequences_that_the_bundle_cannot_judge_are_told_before_the_start_is_refused(
    box: Box, tmp_path: Path
) -> None:
    wanted = box.case(sequences__enabled=True)
    assert "has no part 'sequences'" in told(bundle(wanted), Status.problem)
    assert "sequences" not in told(bundle(box.case()), Status.problem)
    made = str(sequences_bundle(tmp_path / "jobs.bundle"))
    able = box.case(sequences__enabled=True, model__bundle=made)
    assert "judges sequences" in told(bundle(able), Status.ok)


COUNTS = {"judged": 900, "anomalous": 3, "lines": 10_000, "ended": {"idle": 900}}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"sequences": COUNTS}, Status.ok, "900 sequences judged, 3 anomalous"),
        ({"sequences": None}, Status.warning, "the running agent does not judge them"),
        ({"sequences": COUNTS | {"evicted": 90}}, Status.warning, "raise [sequences] max_sessions"),
        ({"sequences": COUNTS | {"evicted": 9}}, Status.note, "9 of 900 sequences ended early"),
        ({"sequences": COUNTS | {"no_key": 9000}}, Status.warning, "90% of 10,000 lines have no"),
        ({"sequences": COUNTS | {"no_key": 4000}}, Status.ok, "900 sequences judged"),
        ({"sequences": {"no_key": 9, "lines": 9}}, Status.ok, "0 sequences judged"),
        ({"sequences": COUNTS | {"malformed_keys": 2000}}, Status.warning, "mend key of"),
        ({"sequences": COUNTS | {"unknown_lines": 6000}}, Status.warning, "60% of 10,000 lines"),
        ({"sequences": COUNTS | {"kinds_forgotten": 1}}, Status.warning, "1 kind of anomalous"),
        ({"sequences": {"judged": "many"}}, Status.ok, "0 sequences judged"),
        (StateError("timed out"), Status.note, "timed out -> sudo logagent doctor"),
    ],
)
def test_how_sequences_fare_in_the_running_agent_is_told(
    box: Box,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, Any] | Exception,
    status: Status,
    said: str,
) -> None:
    def ask(folder: Path) -> dict[str, Any]:
        assert box.root / "var/lib/logagent" == folder
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("logagent.service.status.ask", ask)
    found = list(sequences(box.case(sequences__enabled=True)))

    assert [status] == [each.status for each in found]
    assert said in told(iter(found), status)
    assert [] == list(sequences(box.case()))


def test_without_an_agent_nothing_is_said_of_how_sequences_fare(box: Box) -> None:
    assert "no agent runs" in told(sequences(box.case(sequences__enabled=True)), Status.note)


def test_the_shipped_bundle_is_good(box: Box) -> None:
    assert "the shipped one" in told(bundle(box.case()), Status.ok)


# The command


def run(box: Box, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    code = doctor_command(None, Path("/var/lib/logagent"), None, machine=box.machine, **options)
    return code, capsys.readouterr().out


def test_a_healthy_machine_ends_with_0_and_one_with_a_problem_with_9(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.write("/var/log/a.log", "x\n")
    box.folder("/var/lib", 0o777)
    box.write("/proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 900000 kB\n")
    box.machine = replace(box.machine, statvfs=statvfs())
    code, text = run(box, capsys)
    assert EXIT_OK == code
    assert text.splitlines()[-1].startswith("0 problems")

    box.write("/var/log/a.log", "x\n", 0o600)
    code, text = run(box, capsys)
    assert EXIT_UNWELL == code
    assert "                      fix: " in text


def test_json_is_a_list_of_check_status_found_and_fix(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = run(box, capsys, as_json=True)

    found = json.loads(text)
    assert {("check", "status", "found", "fix")} == {tuple(each) for each in found}
    assert {each["status"] for each in found} <= {status.value for status in Status}


def test_a_broken_configuration_is_a_problem_and_not_the_end(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[sinks]\nstdot = true\n")

    code = doctor_command(file, None, None, machine=box.machine)

    text = capsys.readouterr().out
    assert EXIT_UNWELL == code
    assert "did you mean stdout?" in text
    assert "clock" in text


def test_colour_is_for_terminals_that_want_it(
    box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_module, "examine", lambda _: [Finding("x", Status.ok, "y")])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mok" in run(box, capsys)[1]

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(box, capsys)[1]


def test_nothing_of_the_machine_is_changed(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    journal_box(box).as_unit()
    lock(box, 1)
    before = {path: path.stat().st_mtime_ns for path in box.root.rglob("*")}

    run(box, capsys)

    assert before == {path: path.stat().st_mtime_ns for path in box.root.rglob("*")}
