"""Two models on the same recent lines: what would another bundle tell that this one does not?

Every line goes through the agent's own path: blocks, judge (keys and caches included), traces
joined, groups by the same key. Nothing is alerted and no state is touched.

Guarantees: bounded whatever is watched: the last `TAIL_BYTES` of each file, the files changed last
first, at most `MAX_FILES` and `TOTAL_BYTES`; at most `MAX_GROUPS` groups are told apart, more are
counted. Whole lines only: the first line of a tail that was cut is left out.

Left to others: how it is printed (`model_command`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

from logagent.blocks import Block, BlockReader
from logagent.judge import Judge, Verdict
from logagent.paths import STDIN, SourceProblem, find
from logagent.service.parts import Model
from logagent.sources import PROBE_BYTES
from logagent.traces import Joiner

__all__ = [
    "MAX_FILES",
    "TAIL_BYTES",
    "TOTAL_BYTES",
    "Comparison",
    "Group",
    "Recent",
    "Side",
    "compare",
    "recent",
]

TAIL_BYTES = 2 * 1024 * 1024
"""[bytes] Read of each file, from its end: about 20,000 lines."""
MAX_FILES = 200
TOTAL_BYTES = 50 * 1024 * 1024
"""[bytes] Read in all: seconds on a small board."""
MAX_GROUPS = 10_000
"""Groups that are told apart; one takes under 1 kB."""

_SAMPLE_BYTES = 400  # [bytes] of a line kept for display
_READ_BYTES = 64 * 1024  # [bytes] per read
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


@dataclass(frozen=True, slots=True)
class Recent:
    """Files whose last lines are compared."""

    files: tuple[str, ...]
    """Those changed last come first."""
    left_out: int
    """Files beyond the limits."""
    problems: int
    """Paths that cannot be read, and files that are no text or packed."""


@dataclass(slots=True)
class Side:
    """One of the two models."""

    name: str
    sha256: str
    threshold: float
    lines: int = 0
    """Anomalous lines, those that were joined to a trace not counted."""
    groups: int = 0
    """Groups with at least one such line: alerts, before repeats and rate limits."""


@dataclass(slots=True)
class Group:
    """Lines of one group, and what each model makes of them."""

    source: str
    """File of the first line."""
    text: bytes
    """The first line that either model found anomalous, cut to 400 bytes."""
    old: int = 0
    """Lines the model in force found anomalous."""
    new: int = 0
    """Lines the other one found anomalous."""
    old_score: float = 0.0
    """Highest score, in [0, 1], among lines that either found anomalous."""
    new_score: float = 0.0


@dataclass(slots=True)
class Comparison:
    """What came of it."""

    old: Side
    new: Side
    files: int = 0
    lines: int = 0
    size: int = 0
    """[bytes] Read."""
    groups: dict[bytes, Group] = field(default_factory=dict)
    """By key, `MAX_GROUPS` at most."""
    uncounted: int = 0
    """Anomalous lines of groups beyond them."""

    def both(self) -> list[Group]:
        """Return the groups that both models would tell, highest score of the new one first."""
        return self._sorted(lambda group: bool(group.old and group.new))

    def only_old(self) -> list[Group]:
        """Return the groups that only the model in force tells, highest score first."""
        return self._sorted(lambda group: not group.new)

    def only_new(self) -> list[Group]:
        """Return the groups that only the other model would tell, highest score first."""
        return self._sorted(lambda group: not group.old)

    def _sorted(self, wanted: Callable[[Group], bool]) -> list[Group]:
        found = [group for group in self.groups.values() if wanted(group)]
        return sorted(found, key=lambda group: -(group.new_score if group.new else group.old_score))


def recent(paths: Sequence[str], excluded: Callable[[str], bool]) -> Recent:
    """Find the files of `paths` (files, folders, patterns) that are text, and can be read."""
    found: list[tuple[int, str]] = []
    problems = 0
    for path in find([path for path in paths if path != STDIN]):
        if isinstance(path, SourceProblem):
            problems += 1
            continue
        name = path[0]
        if excluded(name) and not path[1]:
            continue
        try:
            status = os.stat(name)
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                continue
            with open(name, "rb") as file:
                head = file.read(PROBE_BYTES)
        except OSError:
            problems += 1
            continue
        if b"\0" in head or head.startswith(_PACKED):
            problems += path[1]  # in a folder they are expected
            continue
        found.append((-status.st_mtime_ns, name))
    found.sort()
    return Recent(
        tuple(name for _, name in found[:MAX_FILES]), max(len(found) - MAX_FILES, 0), problems
    )


def compare(
    files: Iterable[str],
    old: Model,
    new: Model,
    *,
    lines: int | None = None,
    seen: Callable[[Comparison], None] = lambda _so_far: None,
) -> Comparison:
    """Judge the last lines of files with both models.

    Args:
        files: read in this order, until `TOTAL_BYTES` are read.
        old: the model in force.
        new: the other one.
        lines: take only so many of each file, the last ones; None for all of its tail.
        seen: told after every block, for progress.
    """
    result = Comparison(_side(old), _side(new))
    judges = [Judge(each.scorer, each.threshold, keep_normal=True) for each in (old, new)]
    for name in files:
        if result.size >= TOTAL_BYTES:
            break
        try:
            tail = _tail(name, min(TAIL_BYTES, TOTAL_BYTES - result.size), lines)
        except OSError:  # gone meanwhile
            continue
        result.files += 1
        joiners = (Joiner(), Joiner())
        for block in BlockReader(BytesIO(tail).read):
            verdicts = [judge.judge(block) for judge in judges]
            joined = [
                joiner.join(block, each)[0] for joiner, each in zip(joiners, verdicts, strict=True)
            ]
            _count(result, name, block, verdicts, joined)
            seen(result)
    for group in result.groups.values():
        result.old.groups += bool(group.old)
        result.new.groups += bool(group.new)
    return result


def _side(model: Model) -> Side:
    bundle = model.scorer.bundle
    return Side(bundle.manifest.name, bundle.sha256, model.threshold)


def _tail(name: str, most: int, lines: int | None) -> bytes:
    """Return the last whole lines of a file, from at most `most` bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open(name, "rb") as file:
        start = max(os.fstat(file.fileno()).st_size - most, 0)
        file.seek(max(start - 1, 0))
        data = file.read(most + (start > 0))
    if start:  # begins in the middle of a line, or with the newline before one
        data = data[data.find(b"\n") + 1 :]
    if lines is not None:
        at = len(data) - data.endswith(b"\n")
        for _ in range(lines):
            at = data.rfind(b"\n", 0, at)
            if at < 0:
                return data
        data = data[at + 1 :]
    return data


def _count(
    result: Comparison,
    name: str,
    block: Block,
    verdicts: Sequence[Sequence[Verdict]],
    joined: Sequence[Sequence[Verdict]],
) -> None:
    """Count a block; `joined` has the lines that belong to a trace above them as normal."""
    result.lines += len(verdicts[0])
    result.size += len(block.data) + 1
    for index, (old, new) in enumerate(zip(*joined, strict=True)):
        if not (old.anomalous or new.anomalous):
            continue
        result.old.lines += old.anomalous
        result.new.lines += new.anomalous
        told = new if new.anomalous else old
        key = told.group or told.template
        group = result.groups.get(key)
        if group is None:
            if len(result.groups) >= MAX_GROUPS:
                result.uncounted += 1
                continue
            group = result.groups[key] = Group(name, block.line(index)[:_SAMPLE_BYTES])
        group.old += old.anomalous
        group.new += new.anomalous
        # A line that one model gives to a trace has its own score all the same.
        group.old_score = max(group.old_score, old.score, verdicts[0][index].score)
        group.new_score = max(group.new_score, new.score, verdicts[1][index].score)
