"""The part of a bundle: read back as it was, refused if it makes no sense, skipped by others."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent import model_command
from logagent.bundle import DEFAULT_BUNDLE, Bundle, write_bundle
from logagent.errors import BundleError
from logagent.sequences.part import PART, SequenceModel
from logagent.sequences.rules import Rule

from .fakes import JOB, bundle, part


def test_a_model_is_read_back_as_it_was_written() -> None:
    model = SequenceModel.read(part(Rule(key=JOB, timeout_seconds=60.0)))
    assert (3, 7, 60.0) == (
        model.vocabulary.known,
        model.ensemble.events,
        model.rule.timeout_seconds,
    )
    assert b"end" in model.vocabulary.text(2)
    assert [False, True] == [
        model.ensemble.judge(np.array(each, np.int32)).anomalous for each in ([0, 1, 2], [0, 1])
    ]


def test_the_same_model_gives_the_same_bytes() -> None:
    assert part() == part()


def test_a_bundle_holds_it_and_older_agents_would_skip_it(tmp_path: Path) -> None:
    loaded = Bundle.load(bundle(tmp_path / "x.bundle"))
    assert 3 == SequenceModel.of(loaded).vocabulary.known
    shipped = Bundle.load(DEFAULT_BUNDLE)
    assert shipped.sizes().keys() | {PART} == loaded.sizes().keys()
    assert all(bytes(shipped.part(name)) == bytes(loaded.part(name)) for name in ("table", "onnx"))


def test_a_bundle_without_it_is_refused_and_said_how_to_get_one() -> None:
    with pytest.raises(BundleError, match=r"no part 'sequences'.*logagent-build sequences"):
        SequenceModel.of(Bundle.load(DEFAULT_BUNDLE))


def test_a_part_that_is_too_large_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logagent import bundle as module

    made = bundle(tmp_path / "good.bundle")
    monkeypatch.setitem(module._OPTIONAL_PART_BYTES, PART, 100)
    with pytest.raises(BundleError, match="'sequences' is oversized"):
        Bundle.load(made)
    shipped = Bundle.load(DEFAULT_BUNDLE)
    parts = {name: bytes(shipped.part(name)) for name in shipped.sizes() if name != "manifest"}
    with pytest.raises(ValueError, match="'sequences' is larger than 100 bytes"):
        write_bundle(tmp_path / "x", shipped.manifest, parts | {PART: b"x" * 101})


def changed(**values: object) -> bytes:
    return msgpack.packb(msgpack.unpackb(part()) | values)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "corrupt"),
        (b"\xc1", "corrupt"),
        (msgpack.packb([1]), "corrupt"),
        (changed(format=2), "format 2, this agent reads 1"),
        (changed(vocabulary={}), "vocabulary is corrupt"),
        (changed(rule={}), "rule of sequences is corrupt"),
        (changed(ensemble={}), "ensemble"),
        (part()[:-1], "corrupt"),
    ],
)
def test_a_part_that_makes_no_sense_is_refused(data: bytes, said: str) -> None:
    with pytest.raises((ValueError, BundleError), match=said):
        SequenceModel.read(data)


def test_a_vocabulary_of_another_size_than_the_ensembles_is_refused() -> None:
    words = msgpack.unpackb(part())["vocabulary"] | {"buckets": 9}
    with pytest.raises(ValueError, match="of 7 events, its vocabulary of 12"):
        SequenceModel.read(changed(vocabulary=words))


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises((ValueError, BundleError)):
        SequenceModel.read(data)


def test_model_info_tells_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == model_command.info(bundle(tmp_path / "x.bundle"), None, tmp_path)
    facts = json.loads(capsys.readouterr().out)
    assert (3, 4) == (facts["sequences"]["known_events"], facts["sequences"]["unknown_events"])
    assert {"data": "jobs"} == facts["sequences"]["record"]
    assert 0 == model_command.info(DEFAULT_BUNDLE, None, tmp_path)
    assert "sequences" not in json.loads(capsys.readouterr().out)
