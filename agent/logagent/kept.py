"""Which numbers of a log line carry meaning, found in arrays of bytes.

The papers erase all numbers; operators do not: ``0 errors`` is not ``12 errors``, ``exit status
0`` is not ``139``. The one definition of what is kept, for keys (`logagent.keys`) and templates
(`logagent.normalise`) alike:

* a stand-alone zero (`zeros`);
* the HTTP status of an access log (`http_statuses`), of which only the class matters;
* a number after code, status, errno, rc, exit, signal, error, err, ret or result (`follow_code`).

Guarantees: no Python work per line or number; a line's answer does not depend on the lines beside
it, as long as a newline is between them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "ANY_LETTER",
    "CLASS",
    "CODE_DIGITS",
    "DIGIT",
    "HEX_LETTER",
    "IS_LETTER",
    "LEFT",
    "LETTER",
    "RIGHT",
    "ZERO_DIGIT",
    "Bytes",
    "Index",
    "follow_code",
    "http_statuses",
    "ranges",
    "zeros",
]

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.intp]

NEWLINE, SPACE, QUOTE, ZERO = b'\n "0'

# Bits of a byte's class; separators have none. Bytes of UTF-8 sequences count as letters.
NONZERO_DIGIT, ZERO_DIGIT, HEX_LETTER, LETTER = 1, 2, 4, 8
DIGIT = NONZERO_DIGIT | ZERO_DIGIT
ANY_LETTER = HEX_LETTER | LETTER


def _classes() -> bytes:
    table = bytearray(256)
    for byte in range(256):
        if byte == ZERO:
            table[byte] = ZERO_DIGIT
        elif byte in b"123456789":
            table[byte] = NONZERO_DIGIT
        elif byte in b"abcdefABCDEF":
            table[byte] = HEX_LETTER
        elif byte >= 0x80 or chr(byte).isalpha():
            table[byte] = LETTER
    return bytes(table)


CLASS = _classes()
"""For `bytes.translate`: every byte's class."""


def _table(members: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


IS_LETTER = np.frombuffer(CLASS, np.uint8) & ANY_LETTER != 0

_SEPARATOR_LOW = ord(",")  # every byte up to it (controls, space, quotes, brackets) ends a number
# What may stand left and right of a stand-alone number. "x" lets 0x0 count as a zero.
LEFT = _table(bytes(range(_SEPARATOR_LOW + 1)) + b"=:[x{|")
RIGHT = _table(bytes(range(_SEPARATOR_LOW + 1)) + b"];}|")

_STATUS_WORD = b"status: "
_STATUS_BYTES = 3  # "503"; a space must follow

# What may stand between a word such as "code" and its number: code=5, code: 5, code (5), ret=-5.
_CODE_GAP = _table(b" =:#(\"'[-")
_CODE_GAP_BYTES = 3
CODE_DIGITS = 5  # a longer number is an identifier
# Words whose number is kept, by their last four letters, lower case, so that exitCode, errorCode
# and StatusCode count too; and short ones, which must be whole words: "src=" is not "rc=".
_CODE_ENDINGS = tuple(
    int.from_bytes(word[-4:], "big")
    for word in (b"code", b"status", b"errno", b"exit", b"signal", b"error", b"result")
)
_CODE_WORDS = tuple(
    (len(word), int.from_bytes(word, "big")) for word in (b"rc", b"err", b"ret", b"sig")
)
_CODE_LAST = _table(b"esotlrcgESOTLRCG")  # the last letters of all these words
_CODE_LAST_OR_GAP = _CODE_LAST | _CODE_GAP


def zeros(raw: Bytes) -> Index:
    """Return where a stand-alone zero is. Six SIMD operations; the rest is on the few hits."""
    if len(raw) < 3:
        return _exact_zeros(raw, np.flatnonzero(raw == ZERO))
    # Shifted so that what may stand on either side is one range: "," and below wrap round to the
    # top; what is out of range on the left is "-./" and the digits.
    shifted = raw - (_SEPARATOR_LOW + 1)
    maybe = shifted[1:-1] == ZERO - (_SEPARATOR_LOW + 1)
    maybe &= shifted[2:] >= ord("]") - (_SEPARATOR_LOW + 1)
    maybe &= shifted[:-2] >= ord(":") - (_SEPARATOR_LOW + 1)
    inner = np.flatnonzero(maybe) + 1
    ends = np.array([at for at in (0, len(raw) - 1) if raw[at] == ZERO], np.intp)
    return _exact_zeros(raw, np.concatenate((inner, ends)))


def _exact_zeros(raw: Bytes, at: Index) -> Index:
    """Return those of the zeros at `at` that stand alone; the ends of `raw` stand for newlines."""
    before = np.where(at == 0, NEWLINE, raw[at - 1])
    after = np.where(at == len(raw) - 1, NEWLINE, raw[np.minimum(at + 1, len(raw) - 1)])
    exact: Index = at[LEFT[before] & RIGHT[after]]
    return exact


def http_statuses(raw: Bytes) -> Index:
    """Return where the first digit of an access log's HTTP status is.

    Two forms: ``"GET / HTTP/1.1" 503 197`` (common and combined log format) and
    ``"GET / HTTP/1.1" status: 503 len: 197`` (eventlet's).
    """
    quotes = np.flatnonzero((raw[:-1] == QUOTE) & (raw[1:] == SPACE))
    at = quotes[quotes < len(raw) - 2 - _STATUS_BYTES] + 2
    worded = raw[at] == _STATUS_WORD[0]
    if worded.any():
        word = at[worded]
        word = word[word < len(raw) - len(_STATUS_WORD) - _STATUS_BYTES]
        for offset in (5, 6, 7):  # enough of it
            word = word[raw[word + offset] == _STATUS_WORD[offset]]
        at = np.concatenate((at[~worded], word + len(_STATUS_WORD)))
    first = raw[at] - ZERO  # wraps if it is no digit
    good = (first >= 1) & (first <= 5) & (raw[at + 3] == SPACE)
    for more in (1, 2):
        good &= (raw[at + more] - ZERO) < 10
    statuses: Index = at[good]
    return statuses


def follow_code(raw: Bytes, at: Index, end: Index) -> npt.NDArray[np.bool_]:
    """Tell which numbers stand after a word such as code, status, errno or exit.

    Args:
        raw: bytes, the first one a newline.
        at: where runs of digits begin.
        end: where they end.
    """
    follows = np.zeros(len(at), bool)
    # One byte of gap before the number, and before that more gap or the word's last letter.
    chosen = np.flatnonzero(_CODE_GAP[raw[at - 1]] & _CODE_LAST_OR_GAP[raw[at - 2]])
    last = at[chosen] - 2
    for _ in range(_CODE_GAP_BYTES - 1):
        last -= _CODE_GAP[raw[last]]
    good = _CODE_LAST[raw[last]] & (end[chosen] - at[chosen] <= CODE_DIGITS)
    chosen, last = chosen[good], last[good]
    if not len(chosen):
        return follows
    letters: npt.NDArray[np.uint32] = np.zeros(len(chosen), np.uint32)
    for back in (3, 2, 1, 0):
        byte = (raw[np.maximum(last - back, 0)] | np.uint8(0x20)).astype(np.uint32)
        letters = (letters << np.uint32(8)) | byte
    found = np.zeros(len(chosen), bool)
    for ending in _CODE_ENDINGS:
        found |= letters == ending
    for size, word in _CODE_WORDS:
        whole = ~IS_LETTER[raw[np.maximum(last - size, 0)]]
        found |= whole & ((letters & np.uint32((1 << 8 * size) - 1)) == word)
    follows[chosen] = found
    return follows


def ranges(starts: Index, ends: Index) -> Index:
    """Return the concatenation of ``arange(start, end)`` over all pairs."""
    lengths = ends - starts
    if not len(lengths):
        return np.empty(0, np.intp)
    first = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    return first + np.arange(len(first))
