r"""What of a log line may reach a terminal, a page or a record.

A log is written by whoever can make a program log: it may hold terminal escapes that
rewrite the screen, bidirectional controls that show another text than the one stored, and
bytes that are not text. `printable` lets through printable characters only and shows all
others as escapes (`\x1b`, `\u202e`, `\U000e0041`).

Guarantees: the result has no character of the Unicode categories Cc, Cf, Cs, Co, Cn, Zl and
Zp, as the running interpreter's Unicode tables know them, and at most `limit` characters;
applied again it changes nothing; only O(limit) bytes are decoded, however long the input.

Left to others: quoting for the place it goes to. `<` and `&` are printable, a page must still
escape them; and a backslash of the log's own is not doubled, so an escape cannot be told
from the same characters in the log.
"""

import re
import unicodedata

__all__ = ["CUT", "printable"]

CUT = "…"
"""Ends a text that was cut; counts as one of its characters."""

_MAX_UTF8_BYTES = 4
"""[bytes] Longest encoding of one character."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are shown as escapes: control, format (bidirectional and zero-width
ones among them), surrogate, private use, unassigned, line and paragraph separators."""

_SUSPECT = re.compile(r"[^ -~]")
"""Everything but printable ASCII has its category looked up."""


def printable(text: bytes | str, limit: int = 500) -> str:
    r"""Return `text` with nothing in it but printable characters, at most `limit` of them.

    Bytes are decoded as UTF-8, broken ones becoming U+FFFD. Line ends at the end are left
    out, a tab becomes a space, and what is cut off is shown by `…`.

    >>> printable(b"\x1b[2Jhello\tworld\r\n")
    '\\x1b[2Jhello world'
    """
    if isinstance(text, bytes):
        whole = text.rstrip(b"\r\n")
        # One character more than the limit is enough to know that it is exceeded.
        shown = whole[: (limit + 1) * _MAX_UTF8_BYTES].decode(errors="replace")
    else:
        shown = text.rstrip("\r\n")[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = _SUSPECT.sub(_visible, shown[: limit + 1])
    if len(shown) <= limit:
        return shown
    return shown[: limit - 1] + CUT if limit > 0 else ""


def _visible(match: re.Match[str]) -> str:
    """Return the character itself if it can be shown, otherwise its escape."""
    character = match.group()
    if character == "\t":
        return " "
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
