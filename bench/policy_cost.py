"""What the alert policy costs beside the judge; a part of `policy.py`.

All runs judge the same blocks in this process, on one core, in interleaved rounds: the judge with
traces joined, the same with `logagent scan`'s groups, the same with `logagent run`'s alerts.
What an alert says costs milliseconds of the model, and the budget bounds their number: left out.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence

from logagent.blocks import BLOCK_BYTES, Block
from logagent.groups import GroupTable
from logagent.inputs import Batch
from logagent.judge import Judge
from logagent.policy.policy import Policy
from logagent.policy.telling import Teller
from logagent.service.alerts import GroupAlerts
from logagent.service.own_lines import OwnLines
from logagent.traces import Joiner
from measure import last_core, median, pinned
from planting import START, Healthy
from replaying import Figures, Quiet, Setting

COST_SHARE = 0.05  # of the scan's speed that the policy may take
COST_BYTES = 40_000_000
LOOK_SECONDS = 10.0  # between two looks of the agent for what is to be told again
NOISY = frozenset(
    {"k8s_node/journald", "k8s_node/kubernetes"}
)  # a fifth of their lines is anomalous
COST_SECONDS = 0.001  # [s] of the clock per block: read as fast as a scan reads


def cost(setting: Setting) -> Figures:
    """Processor time of judge, judge and scan's groups, judge and policy; the same blocks."""
    figures: Figures = {"rounds": setting.rounds, "mixes": {}}
    quiet = [log for log in setting.logs if log.name not in NOISY]
    for mix, logs in (("all healthy logs", setting.logs), ("without the two noisy ones", quiet)):
        print(f"{mix}:")
        figures["mixes"][mix] = _mix(setting, logs)
    over = [one["over_scan"] for one in figures["mixes"].values()]
    return {"met": max(over) <= COST_SHARE} | figures


def _mix(setting: Setting, logs: Sequence[Healthy]) -> Figures:
    blocks = list(_cost_blocks(logs))
    lines = sum(block.data.count(b"\n") + 1 for _, block in blocks)
    runs: dict[str, Callable[[], float]] = {
        "judge": lambda: _judge_only(setting, blocks),
        "scan": lambda: _with_groups(setting, blocks),
        "policy": lambda: _with_policy(setting, blocks, Quiet(setting.scorer, "edge-7")),
    }
    samples: dict[str, list[float]] = {name: [] for name in runs}
    with pinned(last_core()):
        for number in range(setting.rounds + 1):
            for name, run in runs.items():
                seconds = run()
                if number:  # the first round warms up
                    samples[name].append(seconds)
    middle = {name: median(values) for name, values in samples.items()}
    figures: Figures = {
        "lines": lines,
        "bytes": sum(len(block.data) + 1 for _, block in blocks),
        "blocks": len(blocks),
        "cpu_seconds": {name: round(value, 4) for name, value in middle.items()},
        "lines_per_second": {name: round(lines / value) for name, value in middle.items()},
        "over_judge": _over(samples["policy"], samples["judge"]),
        "over_scan": _over(samples["policy"], samples["scan"]),
    }
    for name, value in figures.items():
        print(f"  {name}: {value}")
    return figures | {"samples": samples}


def _over(samples: Sequence[float], base: Sequence[float]) -> float:
    """Return by which share it takes longer: the median of rounds, each compared with itself."""
    return round(median(one / other - 1 for one, other in zip(samples, base, strict=True)), 4)


def _cost_blocks(logs: Sequence[Healthy]) -> Iterator[tuple[str, Block]]:
    """The healthy logs side by side, again and again, a block of each in turn."""
    texts = {log.name: b"\n".join(log.lines) for log in logs}
    offsets = dict.fromkeys(texts, 0)
    size = 0
    while size < COST_BYTES:
        for name, text in texts.items():
            for at in range(0, len(text), BLOCK_BYTES):
                piece = text[at : at + BLOCK_BYTES]
                # Whole lines: from the first start of a line to the last end of one.
                piece = piece[piece.find(b"\n") + 1 : piece.rfind(b"\n")]
                if piece:
                    yield name, Block(piece, 1 + offsets[name], offsets[name])
                    offsets[name] += len(piece) + 1
                    size += len(piece)


def _timed(work: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def _judge_only(setting: Setting, blocks: list[tuple[str, Block]]) -> float:
    judge, joiners = Judge(setting.scorer, setting.agent.threshold), _joiners(blocks)

    def work() -> None:
        for name, block in blocks:
            joiners[name].join(block, judge.judge(block))

    return _timed(work)


def _with_groups(setting: Setting, blocks: list[tuple[str, Block]]) -> float:
    judge, joiners = Judge(setting.scorer, setting.agent.threshold), _joiners(blocks)
    groups = GroupTable()

    def work() -> None:
        for name, block in blocks:
            verdicts, joined = joiners[name].join(block, judge.judge(block))
            groups.add(name, b"12345678", block, verdicts, joined)

    return _timed(work)


def _with_policy(setting: Setting, blocks: list[tuple[str, Block]], teller: Teller) -> float:
    """The agent's loop without its inputs and sinks: plan, commit, and what is due."""
    agent, joiners = setting.agent, _joiners(blocks)
    judge = Judge(setting.scorer, agent.threshold, floor=agent.floor)
    clock = [START]
    habits = agent.adaptation()
    policy = Policy(agent.settings, agent.threshold, START, habits, teller.category)
    own = OwnLines([1])
    alerts = GroupAlerts(teller, own, policy, adaptation=habits, wall=lambda: clock[0])

    def work() -> None:
        look = clock[0]
        for name, block in blocks:
            verdicts, joined = joiners[name].join(block, judge.judge(block))
            alerts.commit(alerts.plan(Batch(name, b"12345678", block), verdicts, joined))
            clock[0] += COST_SECONDS
            if clock[0] >= look or alerts.wait_seconds() <= 0:
                look = clock[0] + LOOK_SECONDS
                alerts.commit(alerts.due())

    return _timed(work)


def _joiners(blocks: list[tuple[str, Block]]) -> dict[str, Joiner]:
    return {name: Joiner() for name, _ in blocks}
