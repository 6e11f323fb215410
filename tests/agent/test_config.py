"""The configuration: defaults, file, flags; every mistake is told, with what was meant."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent import config_command
from logagent.config import MAX_FILE_BYTES, SECTIONS, Config, Sinks, State, default_file, load
from logagent.config_rules import host_and_port
from logagent.config_sections import FACILITIES
from logagent.errors import ConfigError
from logagent.sanitise import printable

KEYS = [(section, key.name) for section, kind in SECTIONS.items() for key in fields(kind)]
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the configuration and the state of the machine the tests run on."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "nothing"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")


def loaded(folder: Path, text: str | bytes, **flags: Any) -> Config:
    file = folder / "logagent.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file, {key.replace("__", "."): value for key, value in flags.items()})


def refusal(folder: Path, text: str | bytes, **flags: Any) -> list[str]:
    """Load what cannot be used; return the problems without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **flags)
    return [
        line.removeprefix(f"{folder}/logagent.toml:").strip()
        for line in str(caught.value).split("\n")
    ]


def test_without_a_file_the_defaults_are_in_force() -> None:
    config = load()

    assert Config() == config
    assert config.file is None
    assert ("/var/log",) == config.watch.paths
    assert (86400.0, 172800.0, 345600.0, 604800.0) == config.alerts.repeat_seconds
    assert (2.0, 20) == (config.alerts.wait_seconds, config.alerts.budget_per_day)


def test_a_file_goes_before_the_defaults_and_flags_before_the_file(tmp_path: Path) -> None:
    text = "[watch]\npaths = ['/a']\nexclude = ['b']\n[state]\nsave_seconds = 3\n"
    config = loaded(tmp_path, text, watch__paths=["/c", Path("/d")], log__level="debug")

    assert ("/c", "/d") == config.watch.paths
    assert ("b",) == config.watch.exclude
    assert 3.0 == config.state.save_seconds
    assert "debug" == config.log.level
    assert {
        "watch.paths": "flag",
        "watch.exclude": "file",
        "state.save_seconds": "file",
        "log.level": "flag",
    } == config.origins


def test_a_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    assert "json" == loaded(tmp_path, "[log]\nformat = 'json'", log__format=None).log.format


def test_a_sensitivity_as_a_flag_goes_before_a_threshold_in_the_file(tmp_path: Path) -> None:
    text = "[model]\nthreshold = 0.5"

    assert 0.5 == loaded(tmp_path, text).model.threshold
    assert loaded(tmp_path, text, model__sensitivity="low").model.threshold is None
    both = loaded(tmp_path, text, model__sensitivity="low", model__threshold=0.7)
    assert 0.7 == both.model.threshold


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        load().watch.paths = ()  # type: ignore[misc]  # that is the point
    assert not hasattr(load().watch, "__dict__")


# ---- where the file and the state are ----


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/none\.toml: No such file or directory$"):
        load(tmp_path / "none.toml")


def test_the_file_of_systemd_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", f"{tmp_path}:/etc/other")
    (tmp_path / "logagent.toml").write_text("[watch]\npaths = ['/a']")

    assert ("/a",) == load().watch.paths
    assert tmp_path / "logagent.toml" == load().file


@pytest.mark.parametrize(
    ("user", "file", "state"),
    [
        (0, "/etc/logagent/logagent.toml", "/var/lib/logagent"),
        (1000, "/home/ada/.config/logagent/logagent.toml", "/home/ada/.local/state/logagent"),
    ],
)
def test_root_and_users_have_their_own_places(
    monkeypatch: pytest.MonkeyPatch, user: int, file: str, state: str
) -> None:
    for name in ("CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert file == str(default_file())
    assert state == str(State().folder())


def test_the_state_folder_of_systemd_goes_before_the_default_and_after_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/logagent/a:/var/lib/b")

    assert Path("/var/lib/logagent/a") == State().folder()
    assert Path("/elsewhere") == State(dir="/elsewhere").folder()


def test_a_tilde_is_expanded_in_paths_and_nowhere_else(tmp_path: Path) -> None:
    text = (
        "[watch]\npaths = ['~/a*.log', '-']\nexclude = ['~/b']\n[journal]\ncommand = '~/c'\n"
        "[model]\nbundle = '~/d'\n[sinks]\njsonl = '~/e'\n[state]\ndir = '~/f'\n"
    )
    config = loaded(tmp_path, text)

    assert ("/home/ada/a*.log", "-") == config.watch.paths
    assert ("~/b", "~/c") == (*config.watch.exclude, config.journal.command)
    assert "/home/ada/d" == config.model.bundle
    assert "/home/ada/e" == config.sinks.jsonl
    assert Path("/home/ada/f") == config.state.folder()


# ---- mistakes ----


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = "[watch]\npathes = []\npoll_seconds = 'x'\n[lag]\n[log]\nlevel = 'loud'\n"

    assert [
        "watch.pathes: no such key; did you mean paths?",
        'watch.poll_seconds: "x" is not allowed; must be a number from 0.05 to 3600',
        "lag: no such section; did you mean [log]?",
        'log.level: "loud" is not allowed; must be one of "debug", "info", "warning", "error"',
    ] == refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paths = []", "paths: no such section; did you mean paths in [watch]?"),
        (
            "[watch]\nsave_seconds = 1",
            "watch.save_seconds: no such key; did you mean save_seconds in [state]?",
        ),
        ("[watch]\nqqqq = 1", "watch.qqqq: no such key"),
        ("[Watch]", "Watch: no such section; did you mean [watch]?"),
        ("watch = 3", "watch: must be a section, [watch]"),
        ("[[watch]]", "watch: must be a section, [watch]"),
        (
            "[watch]\nfrom_start.x = 1",
            "watch.from_start: a table is not allowed; must be true or false",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, text: str, said: str
) -> None:
    assert [said] == refusal(tmp_path, text)


def test_a_mistake_in_a_flag_is_told_as_one() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"watch.poll_seconds": -1.0, "wach.paths": []})

    first, second = str(caught.value).split("\n")
    assert (
        "flag: watch.poll_seconds: -1.0 is not allowed; must be a number from 0.05 to 3600" == first
    )
    assert "flag: wach.paths: no such key; did you mean paths in [watch]?" == second


@pytest.mark.parametrize(
    "value",
    ["true", "nan", "inf", "-inf", "-0.5", "1.5", "'0.5'", "[]", "0x" + "f" * 5000, "2024-01-01"],
)
def test_what_is_no_number_in_range_is_refused(tmp_path: Path, value: str) -> None:
    (said,) = refusal(tmp_path, f"[model]\nthreshold = {value}")

    assert said.startswith("model.threshold: ")
    assert said.endswith("is not allowed; must be a number from 0 to 1")
    assert len(said) < 200


@pytest.mark.parametrize("value", ["true", "5.0", "0", "-1", "100001", "'5'", "nan"])
def test_what_is_no_whole_number_in_range_is_refused(tmp_path: Path, value: str) -> None:
    (said,) = refusal(tmp_path, f"[alerts]\nmax_groups = {value}")

    assert said.endswith("must be a whole number from 1 to 100000")


@pytest.mark.parametrize("value", ["1", "0", "'true'", "[]"])
def test_only_true_and_false_are_flags(tmp_path: Path, value: str) -> None:
    assert refusal(tmp_path, f"[watch]\nfrom_start = {value}")[0].endswith("must be true or false")
    assert refusal(tmp_path, f"[journal]\nenabled = {value}")[0].endswith('"auto", true, false')


def test_the_journal_is_a_word_or_a_flag(tmp_path: Path) -> None:
    for text, value in (("true", True), ("false", False), ("'auto'", "auto")):
        assert value is loaded(tmp_path, f"[journal]\nenabled = {text}").journal.enabled or (
            value == "auto"
        )


@pytest.mark.parametrize(
    "value", ["[1, 0.5]", "[nan]", "[true]", "[-1]", "60", "['60']", "[1e300]", f"{[1] * 101}"]
)
def test_waits_are_a_list_of_numbers(tmp_path: Path, value: str) -> None:
    (said,) = refusal(tmp_path, f"[alerts]\nrepeat_seconds = {value}")

    assert "must be a list of at most 100 numbers from 1 to 31622400" in said


@pytest.mark.parametrize("value", ["''", "3", "['']", "[3]", "[['a']]", '["a\\u0000b"]', "{a = 1}"])
def test_paths_are_a_list_of_strings_that_are_not_empty(tmp_path: Path, value: str) -> None:
    (said,) = refusal(tmp_path, f"[watch]\npaths = {value}")

    assert said.startswith("watch.paths: ")


def test_a_program_and_a_path_must_be_usable_strings(tmp_path: Path) -> None:
    assert ['journal.command: "" is not allowed; must be a path that is not empty'] == refusal(
        tmp_path, "[journal]\ncommand = ''"
    )
    assert refusal(tmp_path, f"[state]\ndir = '{'x' * 5000}'")
    assert refusal(tmp_path, '[sinks]\njsonl = "a\\u0000"')


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:514", ("localhost", 514)),
        (":5514", ("", 5514)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, parts: tuple[str, int]) -> None:
    assert parts == host_and_port(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "host:",
        "host:0",
        "host:65536",
        "::1:514",
        "host:５",
        "ho st:5",
        "[::1:514",
        "host:+5",
        "a/b:5",
        "[host]:5x",
    ],
)
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        host_and_port(text)
    if text:
        assert refusal(tmp_path, f"[sinks]\nsyslog = 'udp://{text}'")


@pytest.mark.parametrize("text", ["local", "udp://h:514", "tcp://[::1]:6514", "tls://h:6514", ""])
def test_syslog_goes_to_this_machine_or_another(tmp_path: Path, text: str) -> None:
    assert text == loaded(tmp_path, f"[sinks]\nsyslog = '{text}'").sinks.syslog


@pytest.mark.parametrize("text", ["h:514", "http://h:514", "udp://:514", "Local", "/dev/log"])
def test_other_targets_of_syslog_are_refused(tmp_path: Path, text: str) -> None:
    (said,) = refusal(tmp_path, f"[sinks]\nsyslog = '{text}'")

    assert said.endswith('"tcp://HOST:PORT", "tls://HOST:PORT" or ""')


def test_a_configuration_that_watches_nothing_or_tells_nobody_is_refused(tmp_path: Path) -> None:
    nothing = "[watch]\npaths = []\n[journal]\nenabled = false\n"

    assert refusal(tmp_path, nothing)[0].endswith("nothing to watch")
    assert loaded(tmp_path, nothing + "[syslog]\nudp = ':0'").syslog.udp
    assert refusal(tmp_path, "[sinks]\nstdout = false")[0].endswith("no alert is told")
    for other in (
        "syslog = 'local'",
        "journal = true",
        "[webhook]\nurl = 'https://h/'",
        "[webhook]\nurl_file = '/x'",
        "[mqtt]\naddress = 'mqtt://h'",
        "[mail]\nto = ['root']",
    ):
        assert loaded(tmp_path, f"[sinks]\nstdout = false\n{other}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[webhook]\nurl = 'http://h'\nurl_file = '/x'", "webhook.url: given, and url_file too"),
        ("[webhook]\nurl = 'http://h'\nformat = 'template'", "webhook.template: goes with"),
        ("[webhook]\nurl = 'http://h'\ntemplate = '{}'", "webhook.template: goes with"),
        ("[webhook]\ntemplate = '{'", 'webhook.template: "{" is not allowed; must be JSON'),
        ("[mqtt]\npassword_file = '/x'", "mqtt.password_file: needs a username"),
        ("[mqtt]\ntopic_prefix = 'a/#'", 'mqtt.topic_prefix: "a/#" is not allowed'),
        ("[mqtt]\ntopic_prefix = ''", 'mqtt.topic_prefix: "" is not allowed'),
        ("[mqtt]\naddress = 'h:1883'", 'mqtt.address: "h:1883" is not allowed'),
        ("[mail]\nto = 'root'", 'mail.to: "root" is not allowed; must be a list'),
        ("[mail]\nto = ['a\\nBcc: b']", "mail.to: "),
        ("[mail]\nsender = 'A <a@b>'", "mail.sender: "),
        ("[prometheus]\ntextfile = '/x.txt'", "prometheus.textfile: must end in .prom"),
        ("[prometheus]\nlisten = '9595'", 'prometheus.listen: "9595" is not allowed'),
    ],
)
def test_what_makes_no_sense_for_a_way_out_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (line,) = refusal(tmp_path, text)

    assert line.startswith(said)


def test_a_web_address_that_is_refused_is_not_quoted(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, "[webhook]\nurl = 'https://user:hunter2@h/'")

    assert line.startswith("webhook.url: must be")
    assert "hunter2" not in line


# ---- files that are none ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[watch]\npaths = [\n'a',,\n]", "3: not TOML: "),
        (b"[watch]\n\npaths = 'a", "3: not TOML: "),
        (b"[watch]\n[watch]\n", "2: not TOML: "),
        (b"[watch]\nexclude = ['\xff']", "2: not UTF-8: byte 0xff"),
        (b"[alerts]\nmax_groups = " + b"9" * 5000, "not TOML: "),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"#" * (MAX_FILE_BYTES + 1), f"larger than {MAX_FILE_BYTES} bytes"),
    ],
    ids=["syntax", "end", "twice", "utf-8", "digits", "nested", "large"],
)
def test_a_file_that_is_no_toml_is_told_with_its_line(
    tmp_path: Path, text: bytes, said: str
) -> None:
    (line,) = refusal(tmp_path, text)

    assert line.startswith(said) or (said == "nested too deeply" and "not TOML" in line)


def test_a_pipe_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="null"):
        load(Path("a\0b"))


def test_a_hostile_file_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    text = '[watch]\n"\\u001b[2J" = 1\npaths = ["\\u202e"]\nfrom_start = "\\u001b"\n"\\n" = 2'
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)

    assert 3 == len(str(caught.value).split("\n"))
    assert all(line == printable(line, 9999) for line in str(caught.value).split("\n"))


def test_thousands_of_mistakes_are_told_in_few_lines(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "[watch]\n" + "".join(f"qq{n} = 1\n" for n in range(300)))

    assert 51 == len(lines)
    assert "… and 250 more problems" == lines[-1]


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_configuration_or_a_refusal(tmp_path_factory: Any, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data)
    said = ""
    try:
        load(file)
    except ConfigError as error:
        said = str(error)

    assert all(line == printable(line, 9999) for line in said.split("\n"))


# ---- written out ----

CHARACTERS = st.characters(exclude_characters="\0~", exclude_categories=("Cs",))
TEXT = st.text(CHARACTERS, min_size=1, max_size=20)
SECONDS = st.floats(0.1, 60.0)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "watch.paths": st.lists(TEXT, min_size=1, max_size=3),
            "watch.exclude": st.lists(TEXT, max_size=3),
            "watch.from_start": st.booleans(),
            "watch.trace_seconds": SECONDS,
            "journal.enabled": st.sampled_from(["auto", True, False]),
            "model.threshold": st.floats(0, 1),
            "alerts.repeat_seconds": st.lists(st.floats(1, 1e7) | st.integers(1, 9), max_size=3),
            "sinks.jsonl": TEXT,
            "sinks.syslog": st.sampled_from(["", "local", "udp://[::1]:514"]),
            "sinks.spool_bytes": st.integers(65536, 2**32),
            "sinks.syslog_facility": st.sampled_from(FACILITIES),
        },
    )
)
def test_what_is_printed_gives_the_same_configuration_again(
    tmp_path_factory: Any, flags: dict[str, Any]
) -> None:
    config = load(None, flags)
    file = tmp_path_factory.getbasetemp() / "again.toml"
    file.write_text(config.to_toml())

    assert config == load(file)


def test_what_is_printed_tells_where_each_value_came_from(tmp_path: Path) -> None:
    text = loaded(tmp_path, "[watch]\nexclude = ['a\"b']\n", log__level="debug").to_toml()

    assert 'exclude = ["a\\"b"]  # file\n' in text
    assert 'level = "debug"  # flag\n' in text
    assert 'paths = ["/var/log"]  # default\n' in text
    assert "# threshold is not set\n" in text


def test_a_file_name_that_is_no_utf_8_can_be_printed() -> None:
    config = load(None, {"watch.paths": [os.fsdecode(b"/a\xff")]})

    assert ["/a\N{REPLACEMENT CHARACTER}"] == tomllib.loads(config.to_toml())["watch"]["paths"]


# ---- the commands ----


def test_check_says_that_a_file_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "logagent.toml"
    file.write_text(f"[watch]\npaths = ['{file}', '-']")

    assert 0 == config_command.check(file)
    assert (f"{file}: good\n", "") == capsys.readouterr()


def test_check_tells_every_problem_and_exits_with_7(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logagent.toml"
    file.write_text("[watch]\nx = 1\ny = 1")

    assert 7 == config_command.check(file)
    out, err = capsys.readouterr()
    assert "" == out
    assert [f"logagent: {file}: watch.{key}: no such key" for key in "xy"] == err.splitlines()


def test_check_warns_of_what_is_not_there_and_what_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("secret", "left-out"):
        (tmp_path / name).touch()
    file = tmp_path / "logagent.toml"
    file.write_text(
        f"[watch]\npaths = ['{tmp_path}', '/no/such*']\nexclude = ['left-*']\n"
        "[model]\nbundle = '/no/bundle'\n[sinks]\njsonl = '/no/folder/alerts'"
    )
    # Root may read everything: permissions are pretended.
    monkeypatch.setattr(os, "access", lambda path, mode: path == str(file))

    assert 0 == config_command.check(file)
    out, err = capsys.readouterr()
    assert f"{file}: good\n" == out
    assert [
        f"{tmp_path}/secret: no permission to read it",
        "/no/such*: no file matches",
        "/no/bundle: no such bundle (model.bundle)",
        "/no/folder: no such folder (sinks.jsonl)",
    ] == [line.removeprefix("logagent: warning: ") for line in err.splitlines()]


def test_check_warns_of_secrets_that_others_may_read_and_of_what_sinks_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2")
    token.chmod(0o644)
    file = tmp_path / "logagent.toml"
    file.write_text(
        f"[watch]\npaths = ['-']\n[webhook]\nurl = 'http://h/'\ntoken_file = '{token}'\n"
        "ca_file = '/no/ca'\n[mail]\nto = ['root']\ncommand = '/no/sendmail'\n"
        "[prometheus]\ntextfile = '/no/folder/x.prom'"
    )

    assert 0 == config_command.check(file)
    err = capsys.readouterr().err
    assert [
        "/no/folder: no such folder (prometheus.textfile)",
        "/no/ca: not there, or no permission to read it (webhook.ca_file)",
        f"{token}: holds a secret, and others may read it (webhook.token_file)",
        "webhook.token_file: its token goes over http:// unencrypted",
        "/no/sendmail: no such program (mail.command)",
    ] == [line.removeprefix("logagent: warning: ") for line in err.splitlines()]
    token.chmod(0o640)
    config_command.check(file)
    assert "others may read" not in capsys.readouterr().err


def test_check_prints_a_bounded_number_of_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logagent.toml"
    file.write_text(f"[watch]\npaths = {[f'/no/{n}' for n in range(50)]}")

    assert 0 == config_command.check(file)
    assert config_command.MAX_WARNINGS + 1 == len(capsys.readouterr().err.splitlines())


def test_check_and_show_work_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == config_command.check(None)
    assert "logagent.toml: not there; the defaults are good\n" in capsys.readouterr().out
    assert 0 == config_command.show(None)
    shown = tomllib.loads(capsys.readouterr().out)
    assert set(SECTIONS) == set(shown)


def test_show_prints_what_is_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "logagent.toml"
    file.write_text("[state]\ndir = '/x'")

    assert 0 == config_command.show(file)
    out = capsys.readouterr().out
    assert out.startswith(f"# read from {file}\n# state folder: /x\n[watch]\n")
    assert "/x" == tomllib.loads(out)["state"]["dir"]


# ---- the page ----


SERIES = {f"local{number}" for number in range(1, 7)}
"""The page tells the first and the last of them."""


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, default) of every row of the tables of docs/configuration.md."""
    if not PAGE.exists():
        pytest.skip("docs/ is not here: the tests run without the repository around them")
    for section in re.finditer(
        r"^## `\[(\w+)\]`$(.*?)(?=^## )", PAGE.read_text(), re.MULTILINE | re.DOTALL
    ):
        for row in re.finditer(r"^\| `(\w+)` \| (.*?) \|", section[2], re.MULTILINE):
            yield section[1], row[1], row[2].strip("`")


def test_every_key_is_on_the_page_and_nothing_else() -> None:
    assert KEYS == [(section, key) for section, key, _ in documented()]


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_the_page_tells_the_default(section: str, key: str) -> None:
    rows = {row[:2]: row[2] for row in documented()}
    default = getattr(getattr(Config(), section), key)

    if default is None:
        assert "not set" == rows[section, key]
    else:
        told = tomllib.loads(f"x = {rows[section, key]}")["x"]
        assert default == (tuple(told) if isinstance(told, list) else told)


def test_the_page_tells_every_word_that_is_allowed() -> None:
    list(documented())
    for section, name in KEYS:
        (key,) = (each for each in fields(SECTIONS[section]) if each.name == name)
        allowed = getattr(key.metadata["rule"], "allowed", ())
        words = [each for each in allowed if isinstance(each, str) and each not in SERIES]
        (part,) = re.findall(
            rf"^## `\[{section}\]`$(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL
        )
        assert [] == [word for word in words if f'"{word}"' not in part]


def test_the_example_of_the_page_sets_every_key(tmp_path: Path) -> None:
    list(documented())
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    config = loaded(tmp_path, example)

    assert {f"{section}.{key}" for section, key in KEYS} == set(config.origins)


def test_every_key_has_a_docstring_that_tells_its_default() -> None:
    import inspect

    from logagent import config_sections

    source = inspect.getsource(config_sections)
    for _, key in KEYS:
        found = re.search(rf'^    {key}: .*?"""(.*?)"""', source, re.MULTILINE | re.DOTALL)
        assert found, key
        assert "Default:" in found[1], key


def test_the_sinks_default_to_standard_output() -> None:
    assert Sinks().stdout
