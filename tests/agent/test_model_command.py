"""`logagent model`: a new bundle is taken wholly and safely, or nothing changes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logagent import model_command, model_update
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.cli import app
from logagent.config import Config
from logagent.errors import BundleError, ConfigError, LogagentError
from logagent.model_command import LARGEST_BUNDLE_BYTES, info, shadow, verify
from logagent.model_update import Update, rollback, update
from logagent.service.parts import Model, open_model
from typer.testing import CliRunner

from .other_bundle import write_other
from .sequences.fakes import bundle as sequences_bundle
from .service.running import Running, fine, oom, until
from .web import moved, serving, whole

SHIPPED = Bundle.load(DEFAULT_BUNDLE).sha256
YES = Update(yes=True)


class Machine:
    """A state folder, a log that is watched, and bundles to take."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.models = self.state / "models"
        self.config = folder / "logagent.toml"
        self.log = folder / "app.log"
        self.log.write_text(oom(1) + fine(2))
        self.configure()
        self.other = folder / "other.bundle"

    def configure(self, more: str = "") -> None:
        self.config.write_text(
            f'[watch]\npaths = ["{self.log}"]\n[model]\nbackend = "numpy"\n{more}\n'
        )

    def update(self, place: str | Path, asked: Update = YES) -> int:
        return update(str(place), asked, self.config, self.state)

    def rollback(self) -> int:
        return rollback(self.config, self.state)

    def refuses(self, place: str | Path, asked: Update = YES) -> str:
        """Update, which must fail and leave all as it was; return what was said."""
        before = self.files()
        with pytest.raises(LogagentError) as caught:
            self.update(place, asked)
        assert before == self.files()
        return str(caught.value)

    def files(self) -> dict[str, bytes]:
        if not self.models.exists():
            return {}
        return {
            path.name: path.read_bytes() for path in self.models.iterdir() if path.name != "lock"
        }

    def in_force(self) -> str:
        current = self.models / "current.bundle"
        return Bundle.load(current).sha256 if current.exists() else SHIPPED


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_other(folder / "other")
    write_other(folder / "third", "third")
    write_other(folder / "eager", "eager", by=-1.0)  # alerts every line
    return folder


@pytest.fixture
def machine(tmp_path: Path, bundles: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Machine(tmp_path)
    shutil.copy(bundles / "other", made.other)
    return made


BUILT: dict[str, Model] = {}


@pytest.fixture(autouse=True)
def _models_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check every file in full, but build the same model only once: that takes the time here."""

    def built(config: Config, path: Path) -> Model:
        sha256 = Bundle.load(path).sha256
        if sha256 not in BUILT:
            BUILT[sha256] = open_model(config, path)
        return BUILT[sha256]

    monkeypatch.setattr(model_command, "open_model", built)
    monkeypatch.setattr(model_update, "open_model", built)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and key.pub, as docs/bundle.md makes them."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make keys with")
    folder = tmp_path_factory.mktemp("key")
    for command in (
        "genpkey -algorithm ed25519 -out key.pem",
        "pkey -in key.pem -pubout -out key.pub",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def sign(bundle: Path, key: Path) -> None:
    files = ["-in", str(bundle), "-out", f"{bundle}.sig"]
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(key / "key.pem"), *files]
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        pytest.skip("this openssl signs no Ed25519: it is older than 3.0")


def facts(capsys: pytest.CaptureFixture[str], machine: Machine) -> dict[str, Any]:
    capsys.readouterr()
    assert 0 == info(None, machine.config, machine.state)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# ---- taking one ----


def test_a_bundle_is_taken_and_what_would_change_is_shown(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == machine.update(machine.other)

    out = capsys.readouterr().out
    assert "other.bundle: other" in out
    assert "2 recent lines of 1 file (" in out
    assert "1 alerted by both, 0 only by the one in force, 0 only by this one" in out
    assert "no agent runs with this state folder" in out
    assert {"current.bundle": machine.other.read_bytes()} == machine.files()
    found = facts(capsys, machine)
    assert ("updated", "other") == (found["why"], found["name"])
    assert str(DEFAULT_BUNDLE) == found["rollback_to"]


def test_the_same_bundle_again_changes_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.update(machine.other)
    before = (machine.models / "current.bundle").stat().st_ino
    machine.update(machine.other)

    assert "in force already" in capsys.readouterr().out
    assert before == (machine.models / "current.bundle").stat().st_ino


def test_going_back_leads_to_the_one_before_then_forward_again(
    machine: Machine, bundles: Path
) -> None:
    other, third = (Bundle.load(bundles / name).sha256 for name in ("other", "third"))
    machine.update(machine.other)
    machine.update(bundles / "third")
    seen = [machine.in_force()]
    for _ in range(3):
        assert 0 == machine.rollback()
        seen.append(machine.in_force())

    assert [third, other, third, other] == seen


def test_going_back_leads_to_the_shipped_one_then_forward_again(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.update(machine.other)
    machine.rollback()
    shipped = facts(capsys, machine)
    machine.rollback()

    assert ("shipped", SHIPPED) == (shipped["why"], shipped["sha256"])
    assert str(machine.models / "previous.bundle") == shipped["rollback_to"]
    assert ("updated", "other") == tuple(facts(capsys, machine)[each] for each in ("why", "name"))


def test_a_damaged_one_is_mended_by_an_update(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.models.mkdir(parents=True)
    (machine.models / "current.bundle").write_bytes(b"damaged")
    with pytest.raises(BundleError, match="the agent uses the shipped bundle instead"):
        info(None, machine.config, machine.state)

    assert 0 == machine.update(machine.other)
    assert "nothing to compare with" in capsys.readouterr().out
    assert "updated" == facts(capsys, machine)["why"]


def test_a_bundle_that_cannot_be_loaded_is_not_gone_back_to(machine: Machine) -> None:
    machine.update(machine.other)
    (machine.models / "previous.bundle").write_bytes(b"damaged")
    before = machine.files()

    with pytest.raises(BundleError, match="not a logagent bundle"):
        machine.rollback()
    assert before == machine.files()


# ---- not taking one ----


def test_what_is_wrong_with_a_bundle_changes_nothing(machine: Machine) -> None:
    machine.update(machine.other)
    good = DEFAULT_BUNDLE.read_bytes()
    bad = machine.folder / "bad"
    for content, said in (
        (b"", "the file is empty"),
        (b"junk", "not a logagent bundle"),
        (good[:-1], "truncated"),
        (good + b"x", "after its end"),
        (good[:-1] + bytes([good[-1] ^ 1]), "its SHA-256 differs"),
    ):
        bad.write_bytes(content)
        message = machine.refuses(bad)
        assert said in message
        assert str(bad) in message
        assert "staged" not in message
    assert "no such file" in machine.refuses(machine.folder / "none")


def test_a_model_that_gives_no_scores_changes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = model_command.np.array([0.1, 2.0], model_command.np.float32)
    monkeypatch.setattr("logagent.scorer.Scorer.scores", lambda self, templates: scores)

    assert "scores that are not from 0 to 1" in machine.refuses(machine.other)


def test_the_sum_that_was_asked_for_decides(machine: Machine) -> None:
    digest = hashlib.sha256(machine.other.read_bytes()).hexdigest()

    assert digest in machine.refuses(machine.other, Update(yes=True, sha256="0" * 64))
    assert 0 == machine.update(machine.other, Update(yes=True, sha256=digest.upper()))


def test_without_a_yes_nothing_changes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody is here to ask" in machine.refuses(machine.other, Update())

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for said in ("", "\n", "n\n", "yess\n"):
        monkeypatch.setattr(sys, "stdin", Terminal(said))
        assert 0 == machine.update(machine.other, Update())
        assert {} == machine.files()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    machine.update(machine.other, Update())
    assert {"current.bundle"} == set(machine.files())


def test_a_flood_of_alerts_is_not_taken_unasked_but_by_force(
    machine: Machine, bundles: Path
) -> None:
    words = ("alpha", "beta", "gamma", "delta", "kappa", "sigma")
    machine.log.write_text("".join(f"{one} {other}\n" for one in words for other in words))

    assert "--force takes it" in machine.refuses(bundles / "eager")
    assert 0 == machine.update(bundles / "eager", Update(force=True))


def test_a_bundle_that_cannot_judge_enabled_sequences_is_told_and_taken_by_force_alone(
    machine: Machine, bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "sequences are enabled, and would not be judged: bundle "
    machine.configure("[sequences]\nenabled = true")
    assert 0 == machine.update(bundles / "third")  # the shipped one cannot, either
    out = capsys.readouterr().out
    assert said in out
    assert "has no part 'sequences'" in out
    assert 0 == machine.update(sequences_bundle(machine.folder / "jobs.bundle"))
    assert said not in capsys.readouterr().out
    assert "sequences are judged now" in machine.refuses(machine.other)
    assert 0 == machine.update(machine.other, Update(yes=True, force=True))
    machine.rollback()
    capsys.readouterr()
    machine.rollback()
    assert said in capsys.readouterr().out

    assert 0 == verify(machine.other, None, machine.config, machine.state)
    assert "it cannot judge them" in capsys.readouterr().err
    machine.configure()
    assert 0 == machine.update(bundles / "third")
    assert said not in capsys.readouterr().out


def test_files_to_compare_on_may_be_named(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    named = machine.folder / "named"
    named.write_text(fine(1) * 5)
    machine.update(machine.other, Update(yes=True, paths=(str(named),)))

    assert "5 recent lines of 1 file (" in capsys.readouterr().out


def test_a_configured_bundle_goes_before_any_update(machine: Machine) -> None:
    machine.configure(f'bundle = "{machine.other}"')

    assert "model.bundle" in machine.refuses(machine.other)
    with pytest.raises(ConfigError, match=r"model\.bundle"):
        machine.rollback()


# ---- signatures ----


def test_a_configured_key_makes_a_signature_mandatory(machine: Machine, key: Path) -> None:
    machine.configure(f'public_key = "{key / "key.pub"}"')
    assert "not signed" in machine.refuses(machine.other)
    machine.other.with_name("other.bundle.sig").write_bytes(b"garbage")
    assert "neither the 64 bytes" in machine.refuses(machine.other)
    machine.other.with_name("other.bundle.sig").write_bytes(bytes(5000))
    assert "larger than" in machine.refuses(machine.other)

    sign(machine.other, key)
    assert 0 == machine.update(machine.other)


def test_a_signature_of_another_bundle_is_refused(
    machine: Machine, key: Path, bundles: Path
) -> None:
    sign(machine.other, key)
    shutil.copy(bundles / "third", machine.other)

    asked = Update(yes=True, force=True, key=key / "key.pub")
    assert "its signature is not by the key" in machine.refuses(machine.other, asked)


def test_verify_checks_the_signature_of_a_named_file(
    machine: Machine, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = key / "key.pub"
    with pytest.raises(BundleError, match="not signed"):
        verify(machine.other, public, machine.config, machine.state)
    sign(machine.other, key)
    verify(machine.other, public, machine.config, machine.state)
    machine.configure(f'public_key = "{public}"')
    verify(machine.other, None, machine.config, machine.state)
    machine.update(machine.other)
    verify(None, None, machine.config, machine.state)  # checked when it was taken
    with pytest.raises(BundleError, match="not signed"):  # asked for, so never passed over
        verify(None, public, machine.config, machine.state)

    out = capsys.readouterr().out
    assert 2 == out.count(f"signed by {public})")
    assert "current.bundle: good (updated, 3." in out


# ---- from the web ----


def test_a_bundle_and_its_signature_come_from_the_web(machine: Machine, key: Path) -> None:
    sign(machine.other, key)
    signature = Path(f"{machine.other}.sig").read_bytes()
    answers = {"/m": whole(machine.other.read_bytes()), "/m.sig": whole(signature)}
    with serving(answers) as (web, asked):
        machine.update(f"{web}/m?q", Update(yes=True, key=key / "key.pub"))

    assert ["/m?q", "/m.sig?q"] == asked
    assert {"current.bundle": machine.other.read_bytes()} == machine.files()


def test_what_goes_wrong_on_the_web_changes_nothing(machine: Machine) -> None:
    machine.update(machine.other)
    good = DEFAULT_BUNDLE.read_bytes()
    answers = {
        "/cut": whole(good[:-9], announced=len(good)),
        "/short": whole(good, announced=len(good) - 9),
        "/bad": whole(good[:-1] + bytes([good[-1] ^ 1])),
        "/large": whole(b"", announced=LARGEST_BUNDLE_BYTES + 1),
        "/moved": moved("http://127.0.0.1/good"),
        "/good": whole(good),
    }
    with serving(answers) as (web, _):
        for path, said in (
            ("none", "404"),
            ("cut", "cut off"),
            ("short", "truncated"),
            ("bad", "its SHA-256 differs"),
            ("large", "larger than 64 MiB"),
            ("moved", "not https"),
        ):
            assert said in machine.refuses(f"{web}/{path}")
        assert 0 == machine.update(f"{web}/good")


# ---- the running agent ----


class Stubborn:
    """An agent that does not take what it is told to."""

    pid = 77
    bundle = "/somewhere/models/current.bundle"

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.reloads = 0

    def take(self, sha256: str) -> None:
        raise self.error

    def reload(self) -> None:
        self.reloads += 1


@pytest.mark.parametrize("error", [BundleError("no"), KeyboardInterrupt(), OSError("no")])
def test_what_the_agent_does_not_take_is_undone(
    machine: Machine, bundles: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    machine.update(machine.other)
    before = machine.files()
    agent = Stubborn(error)
    monkeypatch.setattr(model_update, "running_agent", lambda state: agent)
    for change in (lambda: machine.update(bundles / "third"), machine.rollback):
        with pytest.raises(type(error)) as caught:
            change()
        assert "as it was" in str(caught.value) or type(error) is not BundleError
        assert before == machine.files()
    assert 2 == agent.reloads


def test_an_agent_with_a_bundle_of_its_own_is_not_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Stubborn(BundleError("no"))
    agent.bundle = "/my/own.bundle"
    monkeypatch.setattr(model_update, "running_agent", lambda state: agent)

    assert "was told to use /my/own.bundle" in machine.refuses(machine.other)
    assert 0 == agent.reloads


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


@pytest.mark.slow
def test_a_running_agent_takes_a_bundle_and_goes_back_and_loses_no_line(agent: Running) -> None:
    other = agent.folder / "other.bundle"
    sha256 = write_other(other)
    environment = os.environ | {"CONFIGURATION_DIRECTORY": str(agent.folder)}

    def model(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "logagent", "model", *map(str, arguments)]
        command += ["--state-dir", str(agent.state)]
        number = 1000 * len(written)
        with subprocess.Popen(command, stdout=-1, stderr=-2, text=True, env=environment) as done:
            while done.poll() is None:  # lines come all the while
                number += 1
                written.append(number)
                agent.append(oom(number))
                agent.status()  # as often as it answers
            out = done.stdout.read() if done.stdout else ""
        assert 0 == done.returncode, out
        return out

    written: list[int] = []
    agent.start("--no-group")
    out = model("update", other, "--yes", "--shadow", agent.log)
    assert sha256 == agent.status()["model"]["sha256"]
    assert f"the running agent, process {agent.status()['pid']}, uses it" in out
    model("rollback")
    assert SHIPPED == agent.status()["model"]["sha256"]
    model("rollback")
    assert sha256 == agent.status()["model"]["sha256"]
    agent.read(len(written))
    until(lambda: len(agent.printed()) >= len(written))

    told = [int(record["text"].split("process ")[1].split(" ")[0]) for record in agent.printed()]
    assert sorted(written) == sorted(told)
    assert {} == agent.status()["problems"]

    agent.stop()
    agent.start("--no-group")
    assert sha256 == agent.status()["model"]["sha256"]
    agent.stop()
    (agent.state / "models/current.bundle").write_bytes(b"damaged")
    agent.start("--no-group")  # watches on all the same
    assert SHIPPED == agent.status()["model"]["sha256"]
    assert "the shipped bundle is used" in agent.said()


# ---- the other commands ----


def test_shadow_compares_and_changes_nothing(
    machine: Machine, bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == shadow(bundles / "eager", (), 1, machine.config, machine.state, human=False)
    first, group = map(json.loads, capsys.readouterr().out.splitlines())

    assert (1, 0, 1) == (first["lines"], first["only_old"], first["only_new"])
    assert ("new", fine(2).strip()) == (group["alerted_by"], group["text"])
    assert {} == machine.files()

    shadow(bundles / "eager", (), None, machine.config, machine.state, human=True)
    assert "only by this one:" in capsys.readouterr().out


def test_info_says_why_a_bundle_is_in_force(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ("shipped", None) == tuple(
        facts(capsys, machine)[each] for each in ("why", "rollback_to")
    )
    machine.configure(f'bundle = "{machine.other}"')
    assert "configured" == facts(capsys, machine)["why"]
    info(machine.other, machine.config, machine.state)
    assert json.loads(capsys.readouterr().out)["why"] is None


# ---- the command line ----


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["update", "x", "--sha256", "0" * 63], "64 hexadecimal digits"),
        (["update", "x", "--sha256", "g" * 64], "64 hexadecimal digits"),
        (["verify", "x", "--bundle", "y"], "not both"),
        (["shadow", "x", "--lines", "0"], "--lines"),
        (["update"], "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["model", *arguments])

    assert (2, True) == (done.exit_code, said in done.output), done.output


def test_what_is_not_taken_is_exit_3_and_one_line(machine: Machine) -> None:
    options = ["--config", str(machine.config), "--state-dir", str(machine.state)]
    for command in (["update", str(machine.log)], ["rollback"], ["verify", str(machine.log)]):
        done = CliRunner().invoke(app, ["model", *command, *options])

        assert (3, 1) == (done.exit_code, len(done.output.splitlines())), done.output
        assert done.output.startswith("logagent: ")
