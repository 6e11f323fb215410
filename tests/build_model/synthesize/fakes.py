"""A writer of log lines without a model: fluent, and with every habit that gives labels away."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence

from logagent_build.annotate.protocol import Arrived, Outcome, Prompt, Reply

MODEL = "simulated: a grammar"
CODE = 4711
PROGRAMS = ("netifd", "dnsmasq", "hostapd", "odhcpd", "dropbear", "uhttpd", "procd", "logd")
_SUBJECTS = [
    "interface wan",
    "lease table",
    "cache",
    "session of root",
    "radio phy",
    "route table",
    "neighbour list",
    "firewall zone",
    "resolver",
    "time source",
    "worker",
    "job queue",
    "mesh link",
    "bridge port",
    "certificate",
    "overlay",
]
_GOOD = [
    "was refreshed",
    "is ready",
    "came up",
    "has been saved",
    "was rotated",
    "answers again",
    "was registered",
    "is unchanged",
    "was trimmed",
    "accepted the reload",
]
_BAD = [
    "went away",
    "cannot be reached",
    "is corrupt",
    "was lost",
    "timed out",
    "ran out of space",
    "was rejected",
    "keeps crashing",
    "lags behind",
    "refused every peer",
]
_WHY = [
    "by request",
    "after boot",
    "during the nightly job",
    "on port eth",
    "for client pool",
    "under load",
    "at the second try",
    "with default options",
    "from the old image",
    "near the limit",
]


def kind_of(text: str) -> str:
    """Tell from the words of a shipped prompt what it asks for."""
    for kind, words in (
        ("plan", "Which programs"),
        ("pairs", "pairs of log lines"),
        ("hard", "sound bad"),
        ("anomalous", "wants to be told of"),
    ):
        if words in text:
            return kind
    return "normal"


def written(text: str, key: str) -> str:
    """Return the reply to a prompt: the same for the same prompt."""
    pick = random.Random(key)
    kind = kind_of(text)
    match = re.search(r"(?:Write|Name the) (\d+)", text)
    count = int(match[1]) if match else 1
    rows = [_row(kind, pick, n) for n in range(count)]
    if bound := re.search(r"at (least|most) (\d+) characters", text):
        for row in rows:
            while bound[1] == "least" and len(str(row["line"])) < int(bound[2]):
                row["line"] = f"{row['line']} and {pick.choice(_WHY)}"
    return json.dumps({"rows": rows})


def _row(kind: str, pick: random.Random, number: int) -> dict[str, object]:
    program = PROGRAMS[number % len(PROGRAMS)] if kind == "plan" else pick.choice(PROGRAMS)
    message = f"{pick.choice(_SUBJECTS)} {{}} {pick.choice(_WHY)} {pick.choice(_WHY)}"
    good, bad = message.format(pick.choice(_GOOD)), message.format(pick.choice(_BAD))
    if kind == "plan":
        return {"component": program, "example": _line(program, "a line of the plan itself", pick)}
    if kind == "pairs":
        return {
            "severity": 3,
            "normal": _line(program, good, pick),
            "anomalous": _bad(program, bad, pick),
        }
    if kind == "anomalous":
        return {
            "severity": pick.choice((1, 2, 2, 3)),
            "category": "network",
            "line": _bad(program, bad, pick),
        }
    if kind == "hard":
        good += ", 0 errors"
    return {"line": _line(program, good, pick)}


def _line(program: str, message: str, pick: random.Random) -> str:
    clock = f"{pick.randrange(8, 20):02}:{pick.randrange(60):02}:{pick.randrange(60):02}"
    day = pick.randrange(10, 29)
    return f"Mar {day} {clock} router1 {program}[{pick.randrange(300, 4000)}]: INFO {message}"


def _bad(program: str, message: str, pick: random.Random) -> str:
    clock = f"{pick.randrange(1, 5):02}:{pick.randrange(60):02}:{pick.randrange(60):02}"
    more = " see the manual of the device" * pick.randrange(2)
    day = pick.randrange(10, 29)
    who = f"router9 {program}[{pick.randrange(300, 4000)}]"
    return f"Mar {day} {clock} {who}: ERROR {message}{more} {CODE}"


class Writer:
    """An `Annotator` that writes, and sometimes something else."""

    def __init__(self, spoiled: Callable[[str, Prompt], str] = lambda text, _prompt: text) -> None:
        self.spoiled = spoiled
        self.prompts: list[Prompt] = []
        self.waves: list[int] = []

    @property
    def model(self) -> str:
        return MODEL

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        self.waves.append(len(prompts))
        outcomes: list[Outcome] = []
        for index, prompt in enumerate(prompts):
            self.prompts.append(prompt)
            text = self.spoiled(written(prompt.messages[-1].text, prompt.key(MODEL)), prompt)
            outcome = Reply(text, MODEL, 100, len(text) // 3, "stop", 0.0)
            outcomes.append(outcome)
            if arrived is not None:
                arrived(index, outcome)
        return outcomes
