"""The incidents: read whole, and put into a background without losing a line."""

from __future__ import annotations

from pathlib import Path

import incidents


def test_an_incident_is_its_parts_in_order(tmp_path: Path) -> None:
    """Parts are separated by empty lines; a part may have a trace."""
    path = tmp_path / "incidents.txt"
    path.write_text("# note\n\n== one\n{h} a\n\tat b\n\n{h} c\n\n== two\nd\n")

    assert {"one": [["srv1 a", "\tat b"], ["srv1 c"]], "two": [["d"]]} == incidents.read_incidents(
        path
    )


def test_the_shipped_incidents_have_parts() -> None:
    """Of several lines where they are traces."""
    found = incidents.read_incidents()

    assert len(found) >= 9
    assert all(len(parts) >= 2 for parts in found.values())
    assert any(len(part) > 5 for parts in found.values() for part in parts)


def test_no_line_is_lost_in_the_background() -> None:
    """Background lines keep their order, parts theirs."""
    background = [str(number) for number in range(10)]
    mixed = incidents.spread(background, [["a", "b"], ["c"]])

    assert background == [line for line in mixed if line.isdigit()]
    assert ["a", "b", "c"] == [line for line in mixed if not line.isdigit()]
