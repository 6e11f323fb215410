"""Private memory: how much there is, and giving back what is free.

glibc keeps what was freed below the top of its heap. Loading a model frees two MiB that way, a
flood of new lines as much again; ``malloc_trim`` returns it to the machine. Where the C library has
no such call (musl), nothing happens.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["give_back", "usage"]


def give_back() -> None:
    """Return free memory to the machine; about a millisecond."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def usage(status: str = "/proc/self/status") -> dict[str, int]:
    """Return private and resident memory [bytes]; what the kernel does not tell is left out."""
    names = {"RssAnon": "rss_anon_bytes", "VmRSS": "rss_bytes"}
    found: dict[str, int] = {}
    with suppress(OSError, ValueError, IndexError), open(status) as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in names:
                found[names[name]] = int(rest.split()[0]) * 1024
    return found
