"""Overrides: what operators said is in one file, wins, ends in time, and harms nothing else."""

from __future__ import annotations

import math
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent import overrides_file
from logagent.errors import ConfigError
from logagent.override_entries import (
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_REGEXES,
    canonical_group,
    entries_of,
    group_text,
    parse,
    problems_of,
)
from logagent.overrides import Override, Overrides, OverridesError, OverridesFile
from logagent.overrides_file import UnknownOverrideError, add, new_id, remove

NOW = 1_800_000_000.0
GROUP = b"kernel: usb * reset"
ENTRY = Override("k3f9a2", "normal", group=group_text(GROUP), created=NOW)


def entry(id_: str = "a", verdict: str = "normal", **values: object) -> Override:
    if "regex" not in values:
        values.setdefault("group", group_text(GROUP))
    return Override(id_, verdict, **values)  # type: ignore[arg-type]


def overrides(*entries: Override, now: float = NOW) -> Overrides:
    assert [] == [problem for each in entries for problem in problems_of(each)]
    return Overrides(entries, now)


# -- what is in force


def test_a_group_that_was_said_to_be_normal_or_anomalous_is_so() -> None:
    said = overrides(entry("a"), entry("b", "anomalous", group="x"))

    assert said.forced(GROUP) is False
    assert said.forced(b"x") is True
    assert said.forced(b"y") is None
    assert not said.empty
    assert Overrides().empty
    assert Overrides().forced(b"x") is None


def test_an_expired_entry_says_nothing() -> None:
    said = overrides(entry(expires=NOW), entry("b", regex="reset", expires=NOW - 1))

    assert said.empty
    assert said.forced(GROUP) is None
    assert said.hides("/a", b"usb reset", GROUP) is None
    assert math.inf == said.next_expiry


def test_the_entry_created_last_wins() -> None:
    normal, anomalous = entry("a", created=2.0), entry("b", "anomalous", created=1.0)

    assert overrides(normal, anomalous).forced(GROUP) is False
    assert overrides(anomalous, normal).forced(GROUP) is False
    assert overrides(normal, replace(anomalous, created=3.0)).forced(GROUP) is True


def test_of_two_entries_of_one_second_the_lower_in_the_file_wins() -> None:
    normal, anomalous = entry("a", created=2.0), entry("b", "anomalous", created=2.0)

    assert overrides(normal, anomalous).forced(GROUP) is True
    assert overrides(anomalous, normal).forced(GROUP) is False


def test_a_contradicted_entry_is_back_when_the_later_one_expires() -> None:
    said = [entry("a", created=1.0), entry("b", "anomalous", created=2.0, expires=NOW + 5)]

    assert overrides(*said).forced(GROUP) is True
    assert NOW + 5 == overrides(*said).next_expiry
    assert overrides(*said, now=NOW + 5).forced(GROUP) is False


def test_an_entry_with_a_source_hides_lines_of_such_sources_only() -> None:
    said = overrides(entry(source="/var/log/app*"))

    assert said.forced(GROUP) is None
    assert said.looks_at_lines
    hidden = said.hides("/var/log/app/1.log", b"line", GROUP)
    assert hidden is not None
    assert "a" == hidden.id
    assert said.hides("/var/log/syslog", b"line", GROUP) is None
    assert said.hides("/var/log/app/1.log", b"line", b"another group") is None


def test_a_regex_is_searched_in_raw_lines_and_in_their_beginning_only() -> None:
    said = overrides(entry(regex=r"port \d+ flapped", source="*sw1*"), entry("b", regex="ä$"))

    assert said.hides("/log/sw1", b"port 77 flapped", b"g") is not None
    assert said.hides("/log/sw2", b"port 77 flapped", b"g") is None
    assert said.hides("/x", "Häufung: ä".encode(), b"g") is not None
    assert said.hides("/log/sw1", b"x" * 1000 + b"port 77 flapped", b"g") is not None
    assert said.hides("/log/sw1", b"x" * 1020 + b"port 77 flapped", b"g") is None


def test_what_was_called_anomalous_later_is_not_hidden_by_a_regex() -> None:
    regex, said = entry("a", regex="usb", created=1.0), entry("b", "anomalous", created=2.0)
    sourced = entry("c", source="*", created=1.5)

    assert overrides(regex, sourced, said).hides("/s", b"usb", GROUP) is None
    assert overrides(regex, said).hides("/s", b"usb", b"another") is not None
    for later in (replace(regex, created=3.0), replace(sourced, created=3.0)):
        found = overrides(regex, said, replace(later, id="z")).hides("/s", b"usb", GROUP)
        assert found is not None
        assert "z" == found.id


def test_an_entry_made_in_november_holds_in_december() -> None:
    said = overrides(entry(group=group_text(b"Sun Nov # ::# # kernel: usb reset")))

    assert said.forced(b"Tue Dec # ::# # kernel: usb reset") is False
    assert said.forced(b"Tue Dec  # ::# # kernel: usb reset") is False
    assert said.forced(b"Tue Dec # ::# # kernel: usb gone") is None
    assert group_text(b"x - [/Nov/:::# +#] y") == group_text(b"x - [/Feb/:::# +#] y")
    assert "Marvin and May" == group_text(b"Marvin and May")


# -- the file's form


@given(st.binary(max_size=512))
def test_any_group_is_found_again_through_the_text_of_a_file(group: bytes) -> None:
    text = group_text(group)
    written = entry(group=text, reason=text[:50], author=text[:50]).to_toml().encode()
    if not text:
        return
    assert canonical_group(text) == text
    again = parse(written, "f")

    assert Overrides(again).forced(group) is False
    assert text == again[0].group
    assert b"\x1b" not in written


@given(st.lists(st.sampled_from(["Mar", "Mon", "Mon, ", " ", "#", "/", "-", "x"])).map("".join))
def test_the_one_form_of_a_group_stays_as_it_is(text: str) -> None:
    assert canonical_group(canonical_group(text)) == canonical_group(text)


def test_an_entry_is_written_so_that_people_can_read_it() -> None:
    full = entry(
        regex='say "x"\\d', source="/var/log/*", created=NOW, expires=NOW + 60, author="ada",
        reason="ein Grund",
    )  # fmt: skip

    assert (
        '[[override]]\nid = "a"\nverdict = "normal"\nregex = "say \\"x\\"\\\\d"\n'
        'source = "/var/log/*"\ncreated = 2027-01-15T08:00:00Z\n'
        'expires = 2027-01-15T08:01:00Z\nauthor = "ada"\nreason = "ein Grund"\n'
    ) == full.to_toml()
    assert (full,) == parse(full.to_toml().encode(), "f")


def test_times_by_hand_may_lack_the_zone_or_the_hour() -> None:
    text = '[[override]]\nid="a"\nverdict="normal"\ngroup="x"\ncreated = 2027-01-15T08:00:00\n'
    found = parse((text + "expires = 2027-01-16\n").encode(), "f")[0]

    assert NOW == found.created
    assert NOW + 16 * 3600 == found.expires
    assert NOW == parse(text.replace("00:00\n", "00:00Z\n").encode(), "f")[0].created


def test_every_problem_of_a_file_is_told() -> None:
    text = """
colour = 1
[[override]]
id = "a"
verdict = "odd"
group = "x"
[[override]]
verdict = "normal"
[[override]]
id = "a"
verdict = "anomalous"
regex = "(a+)+"
why = "x"
[[override]]
id = "b"
verdict = "normal"
regex = "("
expires = "soon"
[[override]]
id = "c"
verdict = "anomalous"
regex = "(a+)+"
group = 7
[[override]]
id = "d"
verdict = "anomalous"
regex = "(a+)+"
[[override]]
id = "d"
verdict = "normal"
"""
    with pytest.raises(OverridesError) as caught:
        parse(text.encode(), "/s/overrides.toml")
    told = str(caught.value).splitlines()

    assert all(line.startswith("/s/overrides.toml: ") for line in told)
    for wanted in (
        "colour: no such key",
        r"entry 1 \(a\): verdict: must be normal or anomalous",
        "entry 2: id: is missing",
        r"entry 3 \(a\): why: no such key",
        r"entry 4 \(b\): expires: must be a time",
        r"entry 5 \(c\): group: must be text",
        r"entry 6 \(d\): regex and source go with verdict normal only",
        r"entry 6 \(d\): regex: repeats",
        r"entry 7 \(d\): needs either a group or a regex",
        r"entry 7 \(d\): id: an entry above has the same",
    ):
        assert [line for line in told if re.search(wanted, line)], wanted
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x" * (MAX_FILE_BYTES + 1), "larger than"),
        (b"\xff", "not UTF-8"),
        (b"[[override", "not TOML"),
        (b"override = 7", "in two pairs of brackets"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"override = [" + b"{}," * (MAX_ENTRIES + 1) + b"]", "at most 10000"),
        (b"override = [" + b"{regex=''}," * (MAX_REGEXES + 1) + b"]", "with a regex"),
        (b'[[override]]\nid="a"\nverdict="normal"\ngroup=""', "group: must have"),
        (b'[[override]]\nid="a b"\nverdict="normal"\ngroup="x"', "id: must be"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_reason(data: bytes, said: str) -> None:
    with pytest.raises(OverridesError, match=said):
        parse(data, "f")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(OverridesError, match=r"regular file|directory"):
            entries_of(path)
    assert Overrides.load(tmp_path / "none", NOW).empty


# -- watching it


class Watched:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "overrides.toml"
        self.reports: list[tuple[str, str]] = []
        self.file = OverridesFile(self.path, lambda *each: self.reports.append(each))

    def write(self, *entries: Override) -> None:
        self.path.write_text("\n".join(each.to_toml() for each in entries))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_change_is_noticed_once(watched: Watched) -> None:
    assert watched.file.poll(NOW) is None
    watched.write(ENTRY)
    found = watched.file.poll(NOW)

    assert found is not None
    assert found is watched.file.current
    assert found.forced(GROUP) is False
    assert watched.file.poll(NOW) is None
    watched.path.unlink()
    gone = watched.file.poll(NOW)
    assert gone is not None
    assert gone.empty


def test_nothing_is_read_while_nothing_changes(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.write(ENTRY)
    watched.file.poll(NOW)
    monkeypatch.setattr("logagent.overrides.read_bytes", None)  # would fail

    assert watched.file.poll(NOW + 1) is None


def test_an_entry_that_expires_is_noticed_without_a_change(watched: Watched) -> None:
    watched.write(replace(ENTRY, expires=NOW + 10), entry("b", group="other"))
    watched.file.poll(NOW)

    assert watched.file.poll(NOW + 9) is None
    found = watched.file.poll(NOW + 10)
    assert found is not None
    assert ["b"] == [each.id for each in found.entries]
    assert watched.file.poll(NOW + 11) is None


def test_an_entry_is_back_when_a_wrong_clock_is_set_right(watched: Watched) -> None:
    watched.write(replace(ENTRY, expires=NOW + 10))
    watched.file.poll(NOW + 1e6)

    found = watched.file.poll(NOW)
    assert found is not None
    assert found.forced(GROUP) is False


def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(watched: Watched) -> None:
    watched.write(ENTRY)
    watched.file.poll(NOW)
    watched.path.write_text("[[override]]\nid = \x01\n")

    assert watched.file.poll(NOW) is None
    assert watched.file.poll(NOW) is None
    assert watched.file.current.forced(GROUP) is False
    assert ["overrides"] == [kind for kind, _ in watched.reports]
    assert "stays so" in watched.reports[0][1]
    watched.write(entry("b", "anomalous", created=NOW + 1))
    found = watched.file.poll(NOW)
    assert found is not None
    assert found.forced(GROUP) is True


# -- changing it

_OTHERS = [
    b"# ours\r\n",
    b"\n",
    b"  # [[override]]\n",
    b'[[override]]\nid = "x"\nverdict = "normal"\n# in between\ngroup = "g"  # why\n',
    b'[[ "override" ]] # a\nverdict = "anomalous"\nid = "y"\ngroup = """\nlong\n# text\n"""\n\n',
    b"[['override']]\nverdict='normal'\nregex='a[#]b'\nid='z'\nexpires=2020-01-01\n",
    b"# last, no newline",
]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(range(len(_OTHERS) - 1)), unique=True, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_adding_and_removing_keep_all_other_text(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int], last: bool, bom: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "overrides.toml"
    old = b"".join(_OTHERS[part] for part in parts) + (_OTHERS[-1] if last else b"")
    old = b"\xef\xbb\xbf" + old if bom and old else old
    path.write_bytes(old)
    before = entries_of(path)
    added = add(path, ENTRY)
    new = path.read_bytes()

    assert new.startswith(old)
    assert (*before, added) == entries_of(path)
    assert added.to_toml().encode() == new[len(old) :].lstrip(b"\n")
    below = b"\n# written below\n"
    path.write_bytes(new + below)
    remove(path, ENTRY.id)
    ended = old if old.endswith(b"\n") or not old else old + b"\n"
    assert (ended + below).replace(b"\n\n", b"\n") == path.read_bytes().replace(b"\n\n", b"\n")
    assert before == entries_of(path)
    for number, each in enumerate(before):
        remove(path, each.id)
        assert before[number + 1 :] == entries_of(path)
        for comment in (b"# ours\r\n", b"  # [[override]]\n"):
            assert path.read_bytes().count(comment) == old.count(comment)


def test_an_entry_is_added_as_whole_seconds_and_printable_text(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    raw = entry(created=NOW + 0.7, expires=NOW + 9.9, reason="\x1b[2J\n\udcff", author="a\tb")
    written = add(path, raw)

    assert (written,) == entries_of(path)
    assert NOW == written.created
    assert NOW + 9 == written.expires
    assert r"\x1b[2J\x0a\udcff" == written.reason
    assert 0o644 == path.stat().st_mode & 0o777


def test_what_was_said_last_wins_though_the_clock_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    add(path, entry("a", created=NOW))
    add(path, entry("b", "anomalous", created=NOW - 1e6))

    assert Overrides.load(path, NOW).forced(GROUP) is True


def test_a_file_with_a_mistake_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    for text in ("[[override]]\nid = 7\n", 'override = [{id="a", verdict="normal", group="x"}]\n'):
        path.write_text(text)
        with pytest.raises(OverridesError):
            add(path, ENTRY)
        with pytest.raises(OverridesError):
            remove(path, "a")
        assert text == path.read_text()
    assert ["overrides.toml"] == os.listdir(tmp_path)


def test_an_entry_that_is_not_allowed_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    for wrong in (
        entry(regex="(a|a)*b"),
        entry(group=""),
        entry(source="/x/\udcff"),
        entry("b", "anomalous", source="x"),
        entry(reason="x" * 501),
    ):
        with pytest.raises(OverridesError):
            add(path, wrong)
    assert not path.exists()


def test_an_unknown_id_removes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    add(path, ENTRY)

    with pytest.raises(UnknownOverrideError, match="nosuch"):
        remove(path, ENTRY.id, "nosuch")
    assert 1 == len(entries_of(path))
    assert 2 == UnknownOverrideError.exit_code


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OverridesError, match="--state-dir"):
        add(tmp_path / "none" / "overrides.toml", ENTRY)


def test_commands_at_one_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    threads = [
        threading.Thread(target=add, args=(path, entry(f"t{number}"))) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"t{number}" for number in range(6)} == {each.id for each in entries_of(path)}


def test_a_command_that_never_ends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "overrides.toml"
    monkeypatch.setattr(overrides_file, "LOCK_SECONDS", 0.0)

    with (
        overrides_file._locked(path),
        pytest.raises(OverridesError, match="another command"),
    ):
        add(path, ENTRY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_writes_for_the_user_whose_folder_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 1234, 1234)
    add(folder / "overrides.toml", ENTRY)
    facts = (folder / "overrides.toml").stat()

    assert (1234, 1234) == (facts.st_uid, facts.st_gid)
    add(folder / "overrides.toml", entry("b"))
    assert 1234 == (folder / "overrides.toml").stat().st_uid


def test_ids_are_short_and_not_taken() -> None:
    ids = {new_id() for _ in range(50)}

    assert all(re.fullmatch("[a-z2-9]{6}", each) for each in ids)
    assert new_id(ids) not in ids
