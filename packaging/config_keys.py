"""Every key of `logagent.toml` with what its docstring says, for pages made from the code.

Guarantees: sections and keys in the order in which `logagent config show` prints them; a key
without a docstring is an error, so that no page lacks one.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields

from logagent import config, config_sections

__all__ = ["Key", "Section", "sections"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    name: str
    """As it stands in the file."""

    meaning: str
    """What the docstring says up to its default, in one line."""

    default: str
    """The default as TOML; empty if the key is not set."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section."""

    name: str
    """Without brackets."""

    meaning: str
    """First line of the class's docstring."""

    keys: tuple[Key, ...]
    """In order."""


def sections() -> Iterator[Section]:
    """Yield every section.

    Raises:
        ValueError: a key has no docstring, or one that does not end with its default.
    """
    classes = {
        each.name: each
        for each in ast.parse(inspect.getsource(config_sections)).body
        if isinstance(each, ast.ClassDef)
    }
    shown = _shown_defaults()
    for name, kind in config.SECTIONS.items():
        told = dict(_docstrings(classes[kind.__name__]))
        keys = []
        for each in fields(kind):
            if each.default is MISSING:
                raise ValueError(f"{name}.{each.name} has no default")
            keys.append(Key(each.name, _meaning(name, each.name, told), shown[name, each.name]))
        yield Section(name, (kind.__doc__ or "").splitlines()[0], tuple(keys))


def _docstrings(section: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield (key, docstring): a string that stands below an attribute."""
    for above, below in zip(section.body, section.body[1:], strict=False):
        if (
            isinstance(above, ast.AnnAssign)
            and isinstance(above.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield above.target.id, below.value.value


def _meaning(section: str, key: str, told: dict[str, str]) -> str:
    text = " ".join(told.get(key, "").split())
    meaning, default, _ = text.rpartition(" Default: ")
    if not default:
        raise ValueError(f"{section}.{key}: no docstring that ends with its default")
    # `Name` of another key is code in a docstring; in a file and on a page quotes are enough.
    return re.sub(r"``?([^`]+)``?", r'"\1"', meaning)


def _shown_defaults() -> dict[tuple[str, str], str]:
    """Return (section, key) to its default, as `logagent config show` writes it."""
    shown: dict[tuple[str, str], str] = {}
    section = ""
    for line in config.Config().to_toml().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif set_to := re.fullmatch(r"(\w+) = (.*)  # default", line):
            shown[section, set_to[1]] = set_to[2]
        elif not_set := re.fullmatch(r"# (\w+) is not set", line):
            shown[section, not_set[1]] = ""
        elif line:
            raise ValueError(f"not a line of a configuration: {line}")
    return shown
