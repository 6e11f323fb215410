"""Stack traces: the lines that belong to the line above them.

A Java exception is one event on thirty lines, a kernel oops one on sixty. `Joiner` gives the
flagged lines of a trace to the flagged line that began it, so that one failure is one group;
`below` tells what of a trace follows a line, and its last cause.

Guarantees: a line that is no part of a trace is never joined; without a flagged line above it, a
part stands for itself. Lines are looked at only around flagged ones. Memory: what is
known of `_KNOWN` verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from logagent.blocks import Block
from logagent.judge import IGNORED, NORMAL, Verdict

__all__ = ["Joiner", "Trace", "below", "is_part"]

_KNOWN = 200  # verdicts remembered; a log has a few dozen flagged ones
_FURTHEST = 200  # lines that are looked at above a part, or below a head: longer traces are cut

# What an interpreter or runtime prints below an error.
_RUNTIME = rb"""
    (?:\t|[ ]{2})[ \t]*(?![\s\d\[<])                 # indented, and no time: Java, Python, Go
  | Traceback[ ]\(most[ ]recent | During[ ]handling[ ]of[ ]the | The[ ]above[ ]exception
  | Caused[ ]by:[ ] | Suppressed:[ ] | \.\.\.[ ]\d+[ ](?:more|common)
  | [\w.$]*[\w$](?:Exception|Error|Throwable)(?::[ ]|$)  # the exception itself
  | goroutine[ ]\d+[ ]\[ | \#\d+[ ]+0x[0-9a-f]+
  | [^|]{0,120}?[:|\]][ ]\s*at[ ][\w$.<>/]+\([^)]*\)[ ]*$  # a frame behind a header
"""
# What the kernel prints below a BUG, an oops, a warning or a stall, behind its own header.
_KERNEL = rb"""
    (?:.{0,80}?kernel:[ ])? (?:<\d>)? (?:\[[ \d.]*\][ ]?)?
    (?: \s*\[<[0-9a-f]+>\] | \s*(?:\?[ ])?[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+ | [Cc]all[ ][Tt]race:
      | Backtrace: | </?(?:TASK|IRQ|NMI|EOI)> | RIP:[ ] | [RE][A-Z0-9]{2}:[ ]?[0-9a-f]{4}
      | Code:[ ] | ---\[[ ]end | CPU:[ ]\d+[ ]PID: | Hardware[ ]name: | Modules[ ]linked[ ]in:
      | Workqueue:[ ] | (?:FS|CS|DR\d|CR\d|LR|PC|SP|pc|lr|sp|x\d+|r\d+)[ ]?:[ ]
      | Process[ ]\S+[ ]\(pid: | Stack:[ ]* | EFLAGS: | Tainted: | Exception[ ]stack )
"""
_PART = re.compile(rb"(?:" + _RUNTIME + rb"|" + _KERNEL + rb")", re.VERBOSE)
_CAUSE = re.compile(rb"(?:Caused by: )?[\w.$]*[\w$](?:Exception|Error|Throwable)(?:: |$)")


def is_part(line: bytes) -> bool:
    """Tell whether a line, read alone, looks like a part of a trace below its head."""
    return _PART.match(line) is not None


@dataclass(frozen=True, slots=True)
class Trace:
    """What follows a line."""

    lines: int = 0
    """Parts directly below it, in the same block."""
    cause: bytes = b""
    """The last of them that names an exception: the root cause comes last."""


def below(block: Block, index: int) -> Trace:
    """Return what of a trace stands directly below the line at `index`."""
    last = len(block.line_ends())
    at, cause = index + 1, b""
    while at < last and at - index <= _FURTHEST:
        line = block.line(at)
        if not is_part(line):
            break
        if _CAUSE.match(line):
            cause = line
        at += 1
    return Trace(at - index - 1, cause)


class Joiner:
    """Gives flagged parts of traces to the flagged lines above them, block after block."""

    def __init__(self) -> None:
        self._open = False  # whether the last block ended inside a trace with a flagged head
        self._known: dict[Verdict, bool] = {}  # whether a verdict's lines look like parts

    def join(self, block: Block, verdicts: list[Verdict]) -> tuple[list[Verdict], int]:
        """Return verdicts in which the joined lines are normal, and how many were joined.

        A head takes the highest score of its parts. Blocks must come in the order of their source.
        """
        opened = self._open
        self._open = self._ends_open(block, verdicts)
        distinct = set(verdicts)
        if distinct == {NORMAL}:
            return verdicts, 0
        parts = {
            verdict
            for verdict in distinct
            if verdict.anomalous and self._looks_like_part(verdict, block, verdicts)
        }
        if not parts:
            return verdicts, 0
        out = list(verdicts)
        heads: dict[int, int] = {}  # of a part: its head; -1 in the block before
        joined = 0
        for index, verdict in enumerate(verdicts):
            if verdict not in parts:
                continue
            head = self._head(block, verdicts, index, heads, opened=opened)
            if head is not None:
                heads[index] = head
            if head is None or head == index:
                continue
            out[index] = NORMAL
            if head >= 0 and verdicts[head] is IGNORED:
                continue
            joined += 1
            if head >= 0 and verdict.score > out[head].score:
                out[head] = replace(out[head], score=verdict.score)
        return out, joined

    def _looks_like_part(self, verdict: Verdict, block: Block, verdicts: list[Verdict]) -> bool:
        """Tell by the first line seen of a verdict; its others differ in numbers only."""
        known = self._known.get(verdict)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[verdict] = is_part(block.line(verdicts.index(verdict)))
        return known

    @staticmethod
    def _head(
        block: Block,
        verdicts: Sequence[Verdict],
        index: int,
        heads: dict[int, int],
        *,
        opened: bool,
    ) -> int | None:
        """Return the index of the line that a part belongs to, its own if that is not flagged.

        None if there is nothing but parts above: a file in which every line is indented.
        """
        if not is_part(block.line(index)):  # its template's first line was a part, this is not
            return index
        for above in range(index - 1, max(index - _FURTHEST, -1) - 1, -1):
            if above < 0:
                return -1 if opened else None
            if above in heads:
                return heads[above]
            if not is_part(block.line(above)):
                return above if _is_flagged(verdicts[above]) else index
        return None

    @staticmethod
    def _ends_open(block: Block, verdicts: Sequence[Verdict]) -> bool:
        # Without `block.line`, which would look for the ends of all lines of every block.
        last = block.data[block.data.rfind(b"\n") + 1 :]
        if _is_flagged(verdicts[-1]) or not is_part(last):
            return _is_flagged(verdicts[-1])
        for index in range(len(verdicts) - 1, max(len(verdicts) - _FURTHEST, -1), -1):
            if _is_flagged(verdicts[index]):
                return True
            if not is_part(block.line(index)):
                return False
        return False


def _is_flagged(verdict: Verdict) -> bool:
    """Tell whether the model flagged a line, whatever an operator made of that."""
    return verdict.anomalous or verdict is IGNORED
