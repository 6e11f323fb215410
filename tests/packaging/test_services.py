"""What starts the agent elsewhere: Home Assistant's add-on, OpenRC."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import urllib.request
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.config import load

PACKAGING = Path(__file__).parents[2] / "packaging"


def add_on() -> ModuleType:
    loader = SourceFileLoader("add_on", str(PACKAGING / "home-assistant" / "start"))
    spec = spec_from_loader("add_on", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


ADD_ON = add_on()
BROKER = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "a", "password": "b"}


def loaded(tmp_path: Path, options: dict[str, Any], mqtt: dict[str, Any] | None) -> Any:
    file = tmp_path / "logagent.toml"
    file.write_text(ADD_ON.configuration(options, mqtt, tmp_path))
    return load(file, {})


def test_the_add_ons_options_are_a_configuration(tmp_path: Path) -> None:
    options = {"sensitivity": "low", "budget_per_day": 5, "learn_hours": 48}
    config = loaded(tmp_path, options, BROKER)

    assert ("low", 5, 48 * 3600) == (
        config.model.sensitivity,
        config.alerts.budget_per_day,
        config.adapt.learn_seconds,
    )
    assert (True, ()) == (config.journal.enabled, tuple(config.watch.paths))
    assert "mqtt://core-mosquitto:1883" == config.mqtt.address
    assert config.mqtt.home_assistant
    assert str(tmp_path / "mqtt.password") == config.mqtt.password_file


def test_without_a_broker_the_add_on_runs_all_the_same(tmp_path: Path) -> None:
    config = loaded(tmp_path, {}, None)

    assert "" == config.mqtt.address
    assert config.sinks.stdout


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_no_name_of_a_user_can_say_more_than_a_name(user: str) -> None:
    import tomllib

    text = ADD_ON.configuration({}, BROKER | {"username": user}, Path("/data"))

    assert user == tomllib.loads(text)["mqtt"]["username"]
    assert 7 == len(tomllib.loads(text))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b'{"result": "ok", "data": {"host": "h", "port": 1}}', {"host": "h", "port": 1}),
        (b'{"result": "error", "message": "no"}', None),
        (b"not json", None),
        (b'{"data": []}', None),
    ],
)
def test_the_supervisor_is_asked_for_the_broker(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, found: dict[str, Any] | None
) -> None:
    asked: list[urllib.request.Request] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        asked.append(request)
        return io.BytesIO(answer)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    assert found == ADD_ON.broker("token")
    assert "Bearer token" == asked[0].get_header("Authorization")
    assert ADD_ON.broker(None) is None


def test_a_supervisor_that_does_not_answer_is_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        raise OSError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    assert ADD_ON.broker("token") is None


def test_the_configuration_for_openrc_is_one() -> None:
    config = load(PACKAGING / "openrc" / "logagent.toml", {})

    assert ("local", False) == (config.sinks.syslog, config.sinks.stdout)


@pytest.mark.parametrize("name", ["openrc/logagent", "openwrt/logagent", "openwrt/logagent.init"])
def test_every_script_can_be_read_by_the_shells_that_run_it(name: str) -> None:
    shells = [["sh"]] + ([["busybox", "ash"]] if shutil.which("busybox") else [])

    for shell in shells:
        done = subprocess.run([*shell, "-n", PACKAGING / name], capture_output=True, text=True)
        assert (0, "") == (done.returncode, done.stderr)


def test_the_add_on_stands_on_the_image_and_asks_for_what_its_start_reads() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    config = yaml.safe_load((PACKAGING / "home-assistant" / "config.yaml").read_text())
    version = re.search(
        '__version__ = "(.*)"', (PACKAGING.parent / "agent/logagent/__init__.py").read_text()
    )

    assert version is not None
    assert version[1] == config["version"]
    assert config["journald"] is True
    assert config["options"].keys() <= config["schema"].keys()
    assert {"amd64", "aarch64"} <= set(config["arch"])
