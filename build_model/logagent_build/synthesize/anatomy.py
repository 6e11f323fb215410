r"""What of a line is its header: time, host, priority, level, and where its message begins.

    Sat Aug 10 16:20:33 2024 kern.err kernel: [    4.726046] SQUASHFS error: xz decompression failed
    └ prefix ───────────────────────┘└ program ┘└ tail ────┘└ message ─────────────────────────┘

The program is no header: who says something is part of what is said. A level that is the value of
a key (``level=error``, ``"severity":"ERROR"``) counts as header, wherever it stands.

Guarantees: the parts joined are the line; any text is taken, in time linear in its length.
Heuristic: headers of other forms count as message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LEVELS", "Parts", "joined", "level_words", "split"]

LEVELS = {
    **dict.fromkeys(("trace", "verbose", "debug", "dbg", "fine"), "debug"),
    **dict.fromkeys(("info", "information", "informational", "inf", "log", "note"), "info"),
    "notice": "notice",
    **dict.fromkeys(("warn", "warning", "wrn"), "warning"),
    **dict.fromkeys(("err", "error", "erro", "severe"), "error"),
    **dict.fromkeys(("crit", "critical", "alert", "emerg", "fatal", "panic"), "critical"),
}
"""Level by the word for it, in lower case."""

_LETTERS = {"I": "info", "D": "debug", "V": "debug", "N": "notice", "W": "warning", "E": "error"}
_LETTERS["F"] = "critical"
_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DAY = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?: [AP]M)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|CES?T|[+-]\d\d:?\d\d))?"
_TIME = "|".join(
    (
        rf"\[?\d{{4}}[-/.]\d\d[-/.]\d\d[T ,]{{1,2}}{_CLOCK}{_ZONE}\]?",
        rf"\d{{8}}[ T]{_CLOCK}{_ZONE}",
        rf"(?:(?:{_DAY}),? )?(?:{_MONTH}) +\d{{1,2}}(?: \d{{4}})? {_CLOCK}(?: \d{{4}})?{_ZONE}",
        rf"\d{{1,2}} (?:{_MONTH})(?: \d{{4}})? {_CLOCK}",
        rf"\[(?:\d{{1,2}}/(?:{_MONTH})/\d{{4}}:)?{_CLOCK}{_ZONE}\]",
        rf"\d{{1,2}}[-/]\d{{1,2}}(?:[-/]\d{{4}})? {_CLOCK}{_ZONE}",
        rf"{_CLOCK}{_ZONE}",
        r"\[ *\d{1,10}\.\d{3,9}\]",
        r"\[?\d{10}(?:\.\d{1,9})?\]?",
    )
)
_WORDS = "|".join(sorted(LEVELS, key=len, reverse=True))
_FACILITY = "kern|daemon|user|auth|authpriv|cron|mail|syslog|lpr|ftp|local[0-7]"
_LEVEL = rf"(?:(?:{_FACILITY})\.)?[\[<(]?(?:(?i:{_WORDS})|(?-i:[IDVNWEF]))(?![\w.'-])[\]>)]?[:|]?"
_PIECE = re.compile(
    rf"(?P<time>(?:{_TIME})(?![\w:]))"
    r"|(?P<pri><\d{1,3}>(?:1(?= ))?)"
    rf"|(?P<level>{_LEVEL})(?=[ ,\[]|$)"
    r"|(?P<pid>\[\d{1,9}\]|\d{1,9}(?= +(?:\[|---|\d)))"
    r"|(?P<host>[A-Za-z][\w.-]{0,60})(?= [\w./()@-]{1,60}(?:\[\d{1,9}[^\]\s]{0,20}\])?: )"
)
_GAP = re.compile(r"[ ,|#-]{0,12}")
_PROGRAM = re.compile(r"[A-Za-z(][\w./()@-]{0,60}(?:\[\d{1,9}[^\]\s]{0,20}\])?: ?(?=\S)")
_KEYED = re.compile(
    r"(?i)\b((?:level|severity|lvl|loglevel|s)\"?\s{0,2}[:=]\s{0,2}\"?)([a-z]{1,13})(?![\w.])"
)
_LEVEL_WORD = re.compile(rf"(?i)(?<![\w-])(?:{_WORDS})(?![\w-])")
_NAMES = re.compile(rf"\b(?:{_MONTH}|{_DAY})\b")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Parts:
    """A line taken apart."""

    prefix: str
    """Before the program: time, host, priority, level; may be empty."""
    program: str
    """``sshd[812]: ``; may be empty."""
    tail: str
    """Level or time after the program; may be empty."""
    before: str
    """The message up to a level that is the value of a key; empty if there is none."""
    keyed: str
    """That level; may be empty."""
    message: str
    """The rest."""
    prefix_shape: str
    """The prefix without its digits, names and level: lines of one shape can swap theirs."""
    tail_shape: str
    level: str
    """A value of `LEVELS`, or empty."""

    @property
    def said(self) -> str:
        """The line without its header."""
        return self.program + self.before + self.message


def joined(parts: Parts) -> str:
    """Return the line."""
    return "".join(
        (parts.prefix, parts.program, parts.tail, parts.before, parts.keyed, parts.message)
    )


def split(line: str) -> Parts:
    """Take a line apart."""
    start, shape, level = _pieces(line, 0, host=True)
    found = _PROGRAM.match(line, start)
    middle = found.end() if found and found[0].lower().rstrip(": ") not in LEVELS else start
    if middle > start:
        end, tail_shape, tail_level = _pieces(line, middle, host=False)
        level = level or tail_level
    else:
        end, tail_shape = middle, ""
    before = keyed = ""
    after = end
    for match in _KEYED.finditer(line, end, end + 300):
        meant = _level(match[2])
        if meant:
            before, keyed, after = line[end : match.start(2)], match[2], match.end(2)
            level = level or meant
            break
    return Parts(
        line[:start],
        line[start:middle],
        line[middle:end],
        before,
        keyed,
        line[after:],
        shape,
        tail_shape,
        level,
    )


def level_words(line: str) -> list[str]:
    """Return the levels of all words for one in a line, in order."""
    return [LEVELS[word.lower()] for word in _LEVEL_WORD.findall(line)]


def _pieces(line: str, at: int, *, host: bool) -> tuple[int, str, str]:
    """Return where the header that begins at `at` ends, its shape, and its level."""
    shape: list[str] = []
    level = ""
    timed = False
    while match := _PIECE.match(line, at):
        kind = match.lastgroup or ""
        text = match[0]
        if kind == "host" and not (host and timed):
            break
        if kind == "host":
            host = False
            shape.append("H")
        elif kind == "level":
            word = re.search(r"[A-Za-z]+(?=[\]>):|]*$)", text)
            name = word[0] if word else ""
            if level:
                break  # the second is the message's own
            level = _level(name)
            style = "U" if name.isupper() else "l" if name.islower() else "T"
            shape.append(text.replace(name, style))
        else:
            timed = timed or kind == "time"
            shape.append(_DIGITS.sub("9", _NAMES.sub("M", text)))
        gap = _GAP.match(line, match.end())
        between = gap[0] if gap else ""
        shape.append(between)
        at = match.end() + len(between)
    return at, re.sub(" +", " ", "".join(shape)), level


def _level(word: str) -> str:
    if len(word) == 1:
        return _LETTERS.get(word, "")
    return LEVELS.get(word.lower(), "")
