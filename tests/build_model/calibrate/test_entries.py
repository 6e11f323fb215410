from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="vectors need the [build] extra")

from logagent.normalise import templates
from logagent_build.calibrate.entries import AROUND, Entries


def encode(texts):
    return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]


@pytest.mark.parametrize(("lines", "kept"), [(1, 1), (4, 4), (20, 5), (400, 20), (6000, 64)])
def test_the_more_lines_a_template_has_the_more_texts_of_it_are_kept(lines: int, kept: int) -> None:
    texts = [b"took %d ms" % (100_000 + number) for number in range(lines)]
    assert len(set(templates(texts).templates)) == 1

    found = Entries.of({"one": texts}, encode)

    assert len(found.variants[0]) == len(set(found.variants[0])) == kept
    assert found.variants[0][0] == found.lines[0] == texts[0]
    assert set(found.variants[0]) <= set(texts)


def test_lines_around_are_those_of_the_own_system() -> None:
    found = Entries.of({"one": [b"a", b"b", b"c"], "two": [b"d", b"e"]}, encode)

    assert found.names == ["one", "two"]
    assert found.domain.tolist() == [0, 0, 0, 1, 1]
    assert found.before[3] == ()
    assert found.after[0] == (b"b", b"c")
    assert max(map(len, found.before)) <= AROUND
