"""The unit keeps its promises, and the check of CI notices when it does not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from logagent.errors import BackendError, BundleError, ConfigError, StateError

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
CHECK = ROOT / "packaging" / "check-systemd"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)

Unit = dict[str, dict[str, list[str]]]


def parsed(text: str) -> Unit:
    """Read a unit: section → directive → values in order, an empty one taking back those before."""
    unit: Unit = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
            continue
        name, found, value = line.partition("=")
        assert found, f"not a directive: {line!r}"
        values = unit[section][name]
        unit[section][name] = [*values, value] if value else [""]
    return unit


@pytest.fixture(scope="module")
def service() -> dict[str, list[str]]:
    return parsed((UNITS / "logagent.service").read_text())["Service"]


def drop_in(name: str) -> dict[str, list[str]]:
    return parsed((UNITS / name).read_text())["Service"]


def megabytes(text: str) -> int:
    return int(text.removesuffix("M"))


def test_the_sections_are_those_of_a_service() -> None:
    assert ["Unit", "Service", "Install"] == list(parsed((UNITS / "logagent.service").read_text()))


def test_there_is_no_network(service: dict[str, list[str]]) -> None:
    assert ["AF_UNIX"] == service["RestrictAddressFamilies"]
    assert ["yes"] == service["PrivateNetwork"]
    assert ["any"] == service["IPAddressDeny"]
    assert "IPAddressAllow" not in service


def test_there_is_no_capability_and_no_way_to_one(service: dict[str, list[str]]) -> None:
    assert [""] == service["CapabilityBoundingSet"]
    assert [""] == service["AmbientCapabilities"]
    assert ["yes"] == service["NoNewPrivileges"]
    assert ["yes"] == service["DynamicUser"]
    assert "User" not in service


def test_only_the_state_folder_can_be_written(service: dict[str, list[str]]) -> None:
    assert ["strict"] == service["ProtectSystem"]
    assert ["yes"] == service["ProtectHome"]
    assert ["/var/log"] == service["ReadOnlyPaths"]
    assert ["logagent"] == service["StateDirectory"]
    writable = {"ReadWritePaths", "BindPaths", "LogsDirectory", "CacheDirectory"}
    assert set() == service.keys() & {*writable, "ConfigurationDirectory", "RuntimeDirectory"}


def test_a_hang_is_noticed_within_a_minute_and_restarted(service: dict[str, list[str]]) -> None:
    assert ["notify"] == service["Type"]
    assert ["main"] == service["NotifyAccess"]
    (seconds,) = service["WatchdogSec"]
    assert 0 < int(seconds) <= 60
    assert service["Restart"][0] in {"on-failure", "always", "on-watchdog", "on-abnormal"}
    assert int(service["RestartSec"][0]) < int(seconds)
    assert ["0"] == parsed((UNITS / "logagent.service").read_text())["Unit"][
        "StartLimitIntervalSec"
    ]


def test_what_the_next_start_cannot_mend_is_not_retried(service: dict[str, list[str]]) -> None:
    codes = {int(code) for code in service["RestartPreventExitStatus"][0].split()}

    assert {2, BundleError.exit_code, BackendError.exit_code, ConfigError.exit_code} == codes
    assert StateError.exit_code not in codes  # a disk may have room again


def test_memory_and_processor_are_limited(service: dict[str, list[str]]) -> None:
    high, most = (megabytes(service[key][0]) for key in ("MemoryHigh", "MemoryMax"))

    assert 26 + 16 <= high < most <= 64  # private memory of numpy, and that of onnxruntime
    assert int(service["CPUQuota"][0].removesuffix("%")) <= 50
    assert int(service["Nice"][0]) > 0
    assert ["idle"] == service["IOSchedulingClass"]
    assert int(service["OOMScoreAdjust"][0]) > 0


def test_code_cannot_be_made_and_calls_are_filtered(service: dict[str, list[str]]) -> None:
    assert ["yes"] == service["MemoryDenyWriteExecute"]
    assert ["native"] == service["SystemCallArchitectures"]
    allowed, refused = service["SystemCallFilter"]
    assert "@system-service" == allowed
    assert {"@privileged", "@resources", "@setuid"} <= set(refused.removeprefix("~").split())
    assert ["EPERM"] == service["SystemCallErrorNumber"]


def test_logs_and_the_journal_can_be_read(service: dict[str, list[str]]) -> None:
    assert ["adm systemd-journal"] == service["SupplementaryGroups"]


def test_it_can_be_told_to_reload(service: dict[str, list[str]]) -> None:
    assert ["/bin/kill -HUP $MAINPID"] == service["ExecReload"]
    assert ["/usr/bin/logagent run"] == service["ExecStart"]
    assert "CONFIGURATION_DIRECTORY=/etc/logagent" in service["Environment"]


def test_onnxruntime_is_told_not_to_report_its_use(service: dict[str, list[str]]) -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in service["Environment"]


def test_the_drop_in_for_the_network_adds_nothing_else() -> None:
    network = drop_in("logagent-network.conf")

    assert {"PrivateNetwork", "RestrictAddressFamilies", "IPAddressAllow"} == set(network)
    assert ["AF_INET AF_INET6"] == network["RestrictAddressFamilies"]
    assert "any" not in " ".join(network["IPAddressAllow"]).split()


def test_the_drop_in_for_paths_only_reads() -> None:
    paths = drop_in("logagent-paths.conf")

    assert {"SupplementaryGroups", "ProtectHome", "BindReadOnlyPaths"} == set(paths)


@needs_systemd
def test_systemd_understands_the_units_and_the_exposure_is_low() -> None:
    done = subprocess.run([CHECK], capture_output=True, text=True, timeout=60)

    assert (0, "") == (done.returncode, done.stderr)
    exposures = re.findall(r"^(\S+): exposure (\d+\.\d) of 10", done.stdout, re.MULTILINE)
    assert ["logagent.service", "logagent-network.conf", "logagent-paths.conf"] == [
        name for name, _ in exposures
    ]
    assert all(float(exposure) <= 1.5 for _, exposure in exposures)


@needs_systemd
@pytest.mark.parametrize(
    ("file", "good", "bad"),
    [
        ("logagent.service", "ProtectClock=", "ProtektClock="),
        ("logagent.service", "DynamicUser=yes", "DynamicUser=maybe"),
        ("logagent.service", "@privileged", "@priviliged"),
        ("logagent.service", "WatchdogSec=60", "WatchdogSec=60x"),
        ("logagent.service", "CapabilityBoundingSet=\n", "CapabilityBoundingSet=~\nUser=root\n"),
        ("logagent.service", "ExecStart=/usr/bin/", "ExecStart=/opt/"),
        ("logagent-network.conf", "10.0.0.0/8", "10.0.0.0/99"),
        ("logagent-paths.conf", "[Service]", "[Servce]"),
    ],
)
def test_a_broken_unit_fails_the_check(tmp_path: Path, file: str, good: str, bad: str) -> None:
    shutil.copytree(UNITS, tmp_path / "systemd")
    text = (tmp_path / "systemd" / file).read_text()
    assert good in text
    (tmp_path / "systemd" / file).write_text(text.replace(good, bad))

    done = subprocess.run([CHECK, tmp_path / "systemd"], capture_output=True, timeout=60)
    assert 1 == done.returncode
    assert b"check-systemd: " in done.stderr
