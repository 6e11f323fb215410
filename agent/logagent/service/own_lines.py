"""The agent's own lines, come back through syslog or the journal: they are no news."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["OWN_NAME", "OwnLines"]


OWN_NAME = b"logagent["
"""In every line that the agent wrote, and in its template."""


class OwnLines:
    """Knows the lines that this agent wrote to syslog or the journal, by its process ids.

    Somebody who can make the local syslog daemon write a line in the name of our process could
    hide it; a remote client cannot, since the name stands before whatever text it sends.
    """

    # No ": " before the name: what comes after one is text, which anybody may have sent.
    _HEAD = re.compile(rb"^(?:<\d+>)?(?:(?:(?!: )[\w.:+ -]){0,80}? )?logagent\[(\d{1,10})\]: ")

    def __init__(self, pids: Collection[int]) -> None:
        self._pids = pids

    def holds(self, line: bytes) -> bool:
        """Tell whether the agent wrote this line."""
        if OWN_NAME not in line:
            return False
        match = self._HEAD.match(line, 0, 160)
        return match is not None and int(match[1]) in self._pids
