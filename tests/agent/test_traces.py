"""Stack traces: one failure is one group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.groups import GroupTable
from logagent.judge import NORMAL, Verdict
from logagent.traces import Joiner, below, is_part

JAVA = b"""\
2024-05-01 10:00:01 ERROR [http-1] request failed
java.lang.IllegalStateException: cannot commit
\tat com.example.Orders.commit(Orders.java:120)
Caused by: java.io.IOException: No space left on device
\t... 12 more
2024-05-01 10:00:02 INFO heartbeat"""
KERNEL = b"""\
Mar  4 06:12:01 nas kernel: [  12.1] BUG: unable to handle kernel NULL pointer dereference
Mar  4 06:12:01 nas kernel: [  12.2] CPU: 1 PID: 812 Comm: rsync Tainted: G W
Mar  4 06:12:01 nas kernel: [  12.3] Call Trace:
Mar  4 06:12:01 nas kernel: [  12.4]  ? ext4_foo+0x12/0x80
Mar  4 06:12:01 nas kernel: [  12.5] ---[ end trace 3d4f ]---
Mar  4 06:12:02 nas kernel: [  13.0] usb 1-1: new device"""


def flagged(texts: dict[bytes, float]) -> dict[bytes, Verdict]:
    return {text: Verdict(score, True, text) for text, score in texts.items()}


def verdicts(block: Block, wanted: dict[bytes, Verdict]) -> list[Verdict]:
    """Flag the lines that hold one of some texts."""
    return [
        next((verdict for text, verdict in wanted.items() if text in line), NORMAL)
        for line in block.data.split(b"\n")
    ]


def test_an_exception_is_one_group_with_its_root_cause() -> None:
    """The logged line stands for it and takes the highest score."""
    block = Block(JAVA, 1, 0)
    before = verdicts(block, flagged({b"request failed": 0.8, b"Caused by": 0.95}))
    after, joined = Joiner().join(block, before)
    table = GroupTable()
    (group,) = table.add("log", b"", block, after, joined)

    assert 1 == joined
    assert (1, 0.95) == (group.first.line, group.score)
    assert 4 == group.trace.lines
    assert b"Caused by: java.io.IOException: No space left on device" == group.trace.cause
    assert 2 == table.anomalous_lines


def test_a_kernel_oops_is_one_group() -> None:
    """Its lines all carry a header of their own."""
    block = Block(KERNEL, 1, 0)
    before = verdicts(block, flagged({b"BUG:": 0.9, b"Tainted": 0.7, b"end trace": 0.6}))
    after, joined = Joiner().join(block, before)

    assert 2 == joined
    assert [0] == [index for index, verdict in enumerate(after) if verdict.anomalous]
    assert 4 == below(block, 0).lines


def test_a_trace_below_a_calm_line_stands_for_itself() -> None:
    """Then the first flagged line of it is the head of the others."""
    data = b"INFO job started\nTraceback (most recent call last):\n  File x\nOSError: full\n  tail"
    block = Block(data, 1, 0)
    before = verdicts(block, flagged({b"OSError": 0.9, b"tail": 0.6}))
    after, joined = Joiner().join(block, before)

    assert 1 == joined
    assert [3] == [index for index, verdict in enumerate(after) if verdict.anomalous]


def test_a_file_of_indented_lines_is_no_trace() -> None:
    """Its flagged lines stay events of their own, near and far."""
    lines = [b"    all quiet"] * 300
    lines[10], lines[12], lines[290] = b"    disk died", b"    fan died", b"    link died"
    block = Block(b"\n".join(lines), 1, 0)
    before = verdicts(block, flagged({b"disk": 0.9, b"fan": 0.9, b"link": 0.9}))

    assert 0 == Joiner().join(block, before)[1]


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_trace_may_cross_blocks(cut: int) -> None:
    """Wherever the cut is."""
    lines = JAVA.split(b"\n")
    wanted = flagged({b"request failed": 0.8, b"Caused by": 0.95})
    joiner, heads = Joiner(), 0
    for part in (lines[:cut], lines[cut:]):
        block = Block(b"\n".join(part), 1, 0)
        after, _ = joiner.join(block, verdicts(block, wanted))
        heads += sum(verdict.anomalous for verdict in after)

    assert 1 == heads


@pytest.mark.parametrize(
    "line",
    [
        b"Mar  4 06:12:01 nas sshd[12]: error: Received disconnect",
        b"kernel: EXT4-fs error (device sda1): reading directory lblock 0",
        b"[   12.3] Out of memory: Killed process 812",
        b"Error: Cannot find module 'x'",
        b"connection at node1 (port 12) lost",
        b"  312   345 E Storage: cannot read",
        b"   [   12.345] sda: I/O error",
        b"",
    ],
)
def test_an_event_of_its_own_is_no_part(line: bytes) -> None:
    """However much it looks like trouble."""
    assert not is_part(line)


LINES = st.lists(
    st.sampled_from([b"calm", b"bad", b"\tat a.B(C.java:1)", b"  deep", b"x.YError: z"]),
    min_size=1,
    max_size=30,
)


@given(LINES, st.integers(0, 30))
def test_no_flagged_line_is_lost(lines: list[bytes], cut: int) -> None:
    """Flagged lines are heads or joined, and a line that is no part is never joined."""
    joiner = Joiner()
    wanted = flagged({b"bad": 0.7, b"deep": 0.8, b"YError": 0.9})
    for part in (lines[:cut], lines[cut:]):
        if not part:
            continue
        block = Block(b"\n".join(part), 1, 0)
        before = verdicts(block, wanted)
        after, joined = joiner.join(block, before)
        assert sum(v.anomalous for v in before) == joined + sum(v.anomalous for v in after)
        for line, old, new in zip(part, before, after, strict=True):
            assert old.anomalous or new is NORMAL
            if old.anomalous and not is_part(line):
                assert new.anomalous
