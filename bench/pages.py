"""What the pages of results are made of: Markdown tables, and where a result comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Result = dict[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def origin(result: Result) -> str:
    """Where a result comes from, in one paragraph."""
    machine = result["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    return (
        f"`{result['command']}` on {machine['date']}, commit {machine['commit']}. "
        f"{machine['cpu']} ({machine['architecture']}), {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1024**3:.0f} GiB, {machine['kernel']}, {machine['python']}, "
        f"locale {machine['locale']}; {libraries}.\n"
    )
