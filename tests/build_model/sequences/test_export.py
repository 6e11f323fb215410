from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="voters need the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent.errors import BundleError
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.features import counts_of
from logagent.sequences.onnx_voters import on_onnxruntime
from logagent_build.sequences import export
from logagent_build.sequences.onnx_graph import graph
from logagent_build.sequences.training import Settings, Trained, train

from tests.build_model.sequences.made import sequences


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(sequences(), Settings(trees=30), seed=1)


@pytest.fixture(scope="module")
def part(trained: Trained) -> dict[str, Any]:
    read: dict[str, Any] = msgpack.unpackb(msgpack.packb(export.part(trained)))
    return read


def test_the_agent_votes_as_the_voters_do(trained: Trained, part: dict[str, Any]) -> None:
    """Random sequences too, far from those that were trained on."""
    random = np.random.default_rng(0)
    test = sequences(40, 40, seed=2)
    odd = [random.integers(0, 7, size=random.integers(1, 90)).astype(np.int32) for _ in range(80)]
    test = test.only(range(80))
    test.events[:] = [*test.events[:40], *odd[:40]]
    ensemble = Ensemble.read(part)
    judged = [ensemble.judge(events) for events in test.events]

    assert [each.anomalous for each in judged] == trained.predict(test).tolist()
    assert np.abs(np.array([each.score for each in judged]) - trained.score(test)).max() < 1e-6
    for voter in (*trained.others, trained.forest):
        assert [each.votes[voter.name] for each in judged] == voter.predict(test).tolist()


def test_onnx_scores_as_the_agent_does(trained: Trained, part: dict[str, Any]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the [build] extra")
    test = sequences(30, 30, seed=5)
    ensemble = Ensemble.read(part)
    session = onnxruntime.InferenceSession(graph(part), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    table = counts_of(test.events, len(test.vocabulary))
    found = dict(zip(names, session.run(None, {"counts": table}), strict=True))
    judged = [ensemble.judge(each) for each in test.events]

    assert found["anomalous"].tolist() == [each.anomalous for each in judged]
    assert np.abs(found["forest"] - [each.score for each in judged]).max() < 1e-6
    for voter in trained.others:
        assert np.abs(found[voter.name] - voter.score(test)).max() < 1e-5


@given(
    st.lists(st.integers(0, 6), max_size=60)
    | st.lists(st.sampled_from([0, 1, 2, 3]), min_size=100, max_size=300)
)
def test_on_onnxruntime_a_sequence_is_judged_the_same(
    trained: Trained, part: dict[str, Any], drawn: list[int]
) -> None:
    """Score, votes, and what carried it: equal, not only near."""
    numpys, onnxs = both(part)
    events = np.array(drawn, dtype=np.int32)
    assert numpys.judge(events) == onnxs.judge(events)


def test_a_share_in_a_leaf_does_not_make_a_difference(trained: Trained) -> None:
    """Leaves of several sequences: scores are sums of fractions."""
    made = train(sequences(seed=4), Settings(trees=30, least_leaf=4), seed=1)
    numpys, onnxs = both(msgpack.unpackb(msgpack.packb(export.part(made))))
    test = sequences(40, 40, seed=6)
    judged = [numpys.judge(events) for events in test.events]
    assert judged == [onnxs.judge(events) for events in test.events]
    assert len({each.score for each in judged}) > 10
    assert any(len(each.carried) > 1 for each in judged)


_BOTH: list[tuple[dict[str, Any], Ensemble, Ensemble]] = []


def both(part: dict[str, Any]) -> tuple[Ensemble, Ensemble]:
    pytest.importorskip("onnxruntime", reason="needs the [build] extra")
    for known, numpys, onnxs in _BOTH:
        if known is part:
            return numpys, onnxs
    ensemble = Ensemble.read(part)
    _BOTH.append((part, ensemble, on_onnxruntime(ensemble, graph(part), "graph")))
    return _BOTH[-1][1:]


def test_without_a_leader_the_majority_decides(trained: Trained, part: dict[str, Any]) -> None:
    test = sequences(20, 20, seed=3)
    ensemble = Ensemble.read({name: held for name, held in part.items() if name != "leader"})

    assert [ensemble.judge(each).anomalous for each in test.events] == trained.vote(test).tolist()


def test_a_cut_between_two_floats_decides_alike() -> None:
    exact = np.array([0.1, 1 / 3, 2.5, 1e-9])

    assert (export._rounded_down(exact).astype(np.float64) <= exact).all()
    assert (
        np.nextafter(export._rounded_down(exact), np.float32(9)).astype(np.float64) > exact
    ).all()


def test_the_part_is_small(part: dict[str, Any]) -> None:
    assert Ensemble.read(part).parameters < 400_000


def test_a_damaged_part_is_refused_or_judges(part: dict[str, Any]) -> None:
    raw = msgpack.packb(part)
    random = np.random.default_rng(1)
    refused = 0
    for at in random.integers(0, len(raw), size=300).tolist():
        broken = bytearray(raw)
        broken[at] ^= 1 << int(random.integers(0, 8))
        try:
            read = msgpack.unpackb(bytes(broken))
        except Exception:  # noqa: S112  # msgpack raises several unrelated types
            continue
        if not isinstance(read, dict):
            continue
        try:
            ensemble = Ensemble.read(read)
            ensemble.judge(np.array([0], dtype=np.int32))
        except BundleError:
            refused += 1
    assert refused > 0
