"""The changelog has what a release needs, and the check of it notices when it does not."""

from __future__ import annotations

from pathlib import Path

import changelog
import pytest
from logagent import __version__

ROOT = Path(__file__).parents[2]
GOOD = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-05-01

### Fixed

- A thing.

## [0.1.0] - 2026-04-01

### Added

- Everything.
"""


def test_this_repository_s_is_good() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()

    assert [] == changelog.problems(text, changelog.version(), release=False)


def test_the_version_comes_from_the_package() -> None:
    assert __version__ == changelog.version()


def test_a_released_version_has_an_entry() -> None:
    assert [] == changelog.problems(GOOD, "0.2.0", release=True)
    assert ["no entry for 0.3.0: give [Unreleased] that name and a date"] == changelog.problems(
        GOOD, "0.3.0", release=True
    )


def test_a_version_to_come_has_something_to_say() -> None:
    assert ["0.3.0 has no entry and [Unreleased] is empty"] == changelog.problems(
        GOOD, "0.3.0", release=False
    )
    told = GOOD.replace("[Unreleased]\n", "[Unreleased]\n\n### Added\n\n- More.\n")
    assert [] == changelog.problems(told, "0.3.0", release=False)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (" - 2026-05-01", "", "[0.2.0] has no date like 2026-01-31"),
        (" - 2026-05-01", " - soon", "[0.2.0] has no date like 2026-01-31"),
        ("- A thing.\n", "", "[0.2.0] lists no change"),
        ("### Fixed", "### Mended", "[0.2.0] has a section Mended"),
        ("[0.1.0]", "[0.2.0]", "versions must come newest first, each once"),
        ("[0.1.0]", "[0.2.1]", "versions must come newest first, each once"),
        ("## [Unreleased]", "", "the first entry must be [Unreleased]"),
        ("## [0.2.0]", "## 0.2.0", "not a heading of a version: '## 0.2.0 - 2026-05-01'"),
        ("[0.2.0]", "[0.10.0]", "the newest entry is [0.10.0], the package is 0.2.0"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert problem in changelog.problems(GOOD.replace(old, new, 1), "0.2.0", release=False)
