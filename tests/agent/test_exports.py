"""What each module offers: pinned, sorted, documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import FunctionType, ModuleType

import logagent
import pytest

# Packages of which only modules are imported.
EMPTY = {"logagent.service", "logagent.policy", "logagent.sequences"}
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(logagent.__path__, "logagent.")
    if found.name not in EMPTY
)


def exported(name: str) -> tuple[ModuleType, list[str]]:
    module = importlib.import_module(name)
    return module, list(getattr(module, "__all__", []))


def own_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def isort_style(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts `__all__`."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_every_module_is_looked_at() -> None:
    assert {"logagent.cli", "logagent.judge", "logagent.scan"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_everything_in_it_exists(name: str) -> None:
    module, names = exported(name)

    assert names
    assert sorted(set(names), key=isort_style) == names
    assert [] == [each for each in names if not hasattr(module, each)]


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_has_a_docstring(name: str) -> None:
    module, names = exported(name)
    missing = [] if module.__doc__ else [name]
    for each in dict.fromkeys([*names, *own_names(module)]):
        value = getattr(module, each)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            missing.append(each)
        if inspect.isclass(value) and value.__module__ == name:
            missing += [
                f"{each}.{method}"
                for method, member in vars(value).items()
                if not method.startswith("_")
                and isinstance(member, property | classmethod | staticmethod | FunctionType)
                and not inspect.getdoc(getattr(value, method))
            ]

    assert [] == missing


def test_the_package_itself_offers_its_version() -> None:
    assert logagent.__version__[0].isdigit()
