"""The feeder and the init script of OpenWrt, run for real by sh: no line of the ring is lost.

logread is a stand-in over a file that is the ring; procd is one that writes down what it is told.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from logagent.config import load

ROOT = Path(__file__).parents[2]
OPENWRT = ROOT / "packaging" / "openwrt"
FEEDER = OPENWRT / "logagent"
PATIENCE_SECONDS = 20.0  # on a busy machine; each wait ends as soon as what it waits for is there
BUSYBOX = shutil.which("busybox")
SHELLS = [
    pytest.param(["sh"], id="sh"),
    pytest.param(
        ["busybox", "ash"],
        id="ash",
        marks=pytest.mark.skipif(BUSYBOX is None, reason="busybox is not installed"),
    ),
]
LOGREAD = """\
#!{python} -IS
# As the real one it neither ends nor complains when nobody reads what it writes.
import contextlib, os, sys, time
if "-f" not in sys.argv and os.path.exists("broken"):
    sys.exit(1)
with open("ring", "rb", buffering=0) as ring:
    os.write(1, ring.read())
    if "-f" in sys.argv:
        with open("pids", "a") as pids:
            print(os.getpid(), file=pids)
        while True:
            time.sleep(0.01)
            if os.fstat(ring.fileno()).st_size < ring.tell():
                ring.seek(0)
            with contextlib.suppress(BrokenPipeError):
                os.write(1, ring.read())
"""
RC_COMMON = """\
config_load() { echo "load $1"; }
config_foreach() { "$1" main; }
config_get_bool() { eval "$1=\\${OPTION_$3:-$4}"; }
config_get() { eval "$1=\\${OPTION_$3:-$4}"; }
config_list_foreach() { while IFS= read -r word; do "$3" "$word"; done < words; }
procd_open_instance() { echo "open $1"; }
procd_close_instance() { echo close; }
procd_set_param() { kind=$1; shift; for word; do echo "$kind=$word"; done; }
procd_append_param() { procd_set_param "$@"; }
procd_add_reload_trigger() { echo "trigger $1"; }
"""


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()  # nobody has asked for it yet
    except FileNotFoundError:
        return True


class Router:
    """A ring, a logread that shows it, and a feeder in front of a program."""

    def __init__(self, folder: Path, shell: list[str], *program: str) -> None:
        self.folder = folder
        self.ring = folder / "ring"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        logread = folder / "logread"
        logread.write_text(LOGREAD.format(python=sys.executable))
        logread.chmod(0o755)
        self.ring.touch()
        self.out = folder / "out"
        self._shell, self._program = shell, program

    def start(self, *, until_it_follows: bool = True) -> None:
        """Start the feeder and wait until logread follows, if asked to."""
        environment = os.environ | {
            "LOGAGENT_LOGREAD": str(self.folder / "logread"),
            "LOGAGENT_PAUSE_SECONDS": "0.05",
            "TMPDIR": str(self.temporary),
        }
        before = len(self.readers())
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                [*self._shell, str(FEEDER), *self._program],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out,
            )  # fmt: skip
        if until_it_follows:
            wait(lambda: len(self.readers()) > before)

    def readers(self) -> list[int]:
        """Return the process ids of every logread that followed, the last one last."""
        file = self.folder / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def kill_logread(self) -> None:
        """Kill the logread that follows; whoever waits for the next one sees it in `readers`."""
        os.kill(self.readers()[-1], signal.SIGKILL)

    def says(self, *lines: str) -> None:
        """Add lines to the ring."""
        with self.ring.open("a") as ring:
            ring.write("".join(f"{line}\n" for line in lines))

    def told(self) -> list[str]:
        """Return what the program got so far."""
        return self.out.read_text().splitlines()

    def close(self) -> None:
        """End the program, as procd does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def router(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Router]:
    made = Router(tmp_path, getattr(request, "param", ["sh"]), "cat")
    yield made
    made.close()


@pytest.mark.parametrize("router", SHELLS, indirect=True)
def test_what_comes_while_logread_is_dead_is_told_once_and_in_order(router: Router) -> None:
    router.says("a", "b")
    router.start()
    wait(lambda: router.told() == ["a", "b"])
    for number in range(3):
        before = router.readers()
        router.kill_logread()
        router.says(f"dead {number}", f"  spaces and \\n stay {number} ")
        wait(lambda before=before: len(router.readers()) > len(before))  # type: ignore[misc]  # bound now
        router.says(f"after {number}")
        wait(lambda number=number: f"after {number}" in router.told())  # type: ignore[misc]  # likewise

    expected = [
        line
        for number in range(3)
        for line in (f"dead {number}", f"  spaces and \\n stay {number} ", f"after {number}")
    ]
    assert ["a", "b", *expected] == router.told()


@pytest.mark.parametrize("router", SHELLS, indirect=True)
def test_a_ring_that_has_rolled_over_meanwhile_is_told_whole(router: Router) -> None:
    router.says("a", "b")
    router.start()
    wait(lambda: router.told() == ["a", "b"])
    router.kill_logread()
    router.ring.write_text("")
    router.says("x", "y", "z")
    wait(lambda: len(router.told()) == 5)

    assert ["a", "b", "x", "y", "z"] == router.told()


def test_equal_lines_come_again_rather_than_not(router: Router) -> None:
    router.says("same", "same")
    router.start()
    wait(lambda: router.told() == ["same", "same"])
    router.kill_logread()
    router.says("same", "end")
    wait(lambda: "end" in router.told())

    assert router.told().count("same") >= 3


def test_a_logread_that_cannot_be_asked_is_waited_for(router: Router) -> None:
    router.says("a")
    router.start()
    wait(lambda: router.told() == ["a"])
    (router.folder / "broken").touch()
    router.kill_logread()
    router.says("b")
    (router.folder / "broken").unlink()
    wait(lambda: router.told() == ["a", "b"])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_agent_has_ended(router: Router, how: signal.Signals) -> None:
    router.start()
    reader = router.readers()[-1]
    router.process.send_signal(how)

    assert -how == router.process.wait(PATIENCE_SECONDS)  # the program itself had this number
    wait(lambda: not list(router.temporary.iterdir()))
    wait(lambda: ended(reader))


def test_a_reload_before_the_agent_listens_does_no_harm(router: Router) -> None:
    router.start()
    router.process.send_signal(signal.SIGHUP)
    router.says("still there")

    wait(lambda: router.told() == ["still there"])


def test_words_reach_the_program_as_they_are(tmp_path: Path) -> None:
    words = ["two words", '"; touch hit; "', "$(touch hit)", "*", ""]
    router = Router(tmp_path, ["sh"], "printf", "%s\\n", *words)
    router.start(until_it_follows=False)
    router.process.wait(PATIENCE_SECONDS)

    assert words == router.told()
    assert not (tmp_path / "hit").exists()
    wait(lambda: not list(router.temporary.iterdir()))


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = subprocess.run(["sh", FEEDER], capture_output=True, text=True)

    assert (2, "usage: logagent COMMAND [WORD...]\n") == (done.returncode, done.stderr)


def init_script(folder: Path, words: list[str], **options: str) -> list[str]:
    """Run start_service of the init script by sh; return what procd was told."""
    (folder / "words").write_text("".join(f"{word}\n" for word in words))
    script = f'{RC_COMMON}. "$1"\nstart_service\nservice_triggers\n'
    environment = {"PATH": os.environ["PATH"]}
    environment |= {f"OPTION_{name}": value for name, value in options.items()}
    done = subprocess.run(
        ["sh", "-eu", "-c", script, "sh", OPENWRT / "logagent.init"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_procd_is_told_to_run_the_feeder_with_the_program_for_ever(tmp_path: Path) -> None:
    state = tmp_path / "state folder"
    told = init_script(
        tmp_path,
        ["/opt/with space/python3", "-m", "logagent.service"],
        config_dir="/etc/log agent",
        state_dir=str(state),
        nice="5",
    )

    assert [
        "command=/usr/libexec/logagent/logagent",
        "command=/opt/with space/python3",
        "command=-m",
        "command=logagent.service",
    ] == [line for line in told if line.startswith("command=")]
    assert {"env=CONFIGURATION_DIRECTORY=/etc/log agent", f"env=STATE_DIRECTORY={state}"} < set(
        told
    )
    assert ["3600", "30", "0"] == [line[8:] for line in told if line.startswith("respawn=")]
    assert {"reload_signal=HUP", "stderr=1", "nice=5", "trigger logagent", "close"} < set(told)
    assert 0o700 == state.stat().st_mode & 0o777


def test_a_disabled_instance_is_not_started(tmp_path: Path) -> None:
    assert ["load logagent", "trigger logagent"] == init_script(tmp_path, ["x"], enabled="0")


def test_the_feeder_has_the_name_by_which_the_agent_knows_its_own_lines() -> None:
    # procd logs what an instance writes as NAME[PID], NAME being that of its first word.
    assert "FEEDER=/usr/libexec/logagent/logagent\n" in (OPENWRT / "logagent.init").read_text()
    assert 'exec "$@"' == FEEDER.read_text().splitlines()[-1]


def test_the_example_of_a_configuration_is_one() -> None:
    config = load(OPENWRT / "logagent.toml", {})

    assert ("-",) == tuple(config.watch.paths)
    assert ("numpy", "local", False) == (
        config.model.backend,
        config.sinks.syslog,
        config.sinks.stdout,
    )


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "make-tree FOLDER ARCH PYTHON"),
        (["new", "mips", "3.11"], 2, "no wheels for mips"),
        (["full", "aarch64", "3.11"], 1, "full is not empty"),
    ],
)
def test_a_tree_is_made_for_what_has_wheels_into_an_empty_folder(
    tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = subprocess.run(
        [OPENWRT / "make-tree", *words], cwd=tmp_path, capture_output=True, text=True
    )

    assert code == done.returncode
    assert told in done.stderr
    assert not (tmp_path / "new").exists()


BLOCKED = """\
import runpy, sys
class Absent:
    names = set(sys.argv.pop(1).split(","))
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
runpy.run_module("logagent.service", run_name="__main__", alter_sys=True)
"""
ABSENT = (
    "typer,click,rich,pygments,markdown_it,shellingham,annotated_doc,onnxruntime,google,flatbuffers,"
    "huggingface_hub,hf_xet,httpx,requests,urllib3,certifi,yaml,tqdm,filelock,fsspec,packaging,"
    "pydantic,logagent_build"
)


@pytest.mark.slow
def test_the_service_runs_from_the_log_of_a_router_with_numpy_tokenizers_and_msgpack_alone(
    tmp_path: Path,
) -> None:
    config = tmp_path / "logagent.toml"
    text = (OPENWRT / "logagent.toml").read_text()
    config.write_text(text.replace('stdout = false\nsyslog = "local"', 'format = "jsonl"'))
    asked = json.dumps({"config": str(config), "overrides": {"alerts.group": False}})
    router = Router(
        tmp_path, ["sh"], "env", f"STATE_DIRECTORY={tmp_path / 'state'}",
        sys.executable, "-OO", "-P", "-c", BLOCKED, ABSENT, asked,
    )  # fmt: skip
    lines = (ROOT / "examples" / "router.log").read_text().splitlines()
    router.says(*lines[:300])
    router.start()
    try:
        wait(lambda: len(router.told()) > 0)
        router.kill_logread()
        router.says(*lines[300:])
        wait(lambda: any(json.loads(line)["score"] > 0.98 for line in router.told()))
    finally:
        router.close()

    assert 0 == router.process.returncode
    assert (tmp_path / "state" / "state").exists()
