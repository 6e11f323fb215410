"""The container recipes: what they promise, and that the check carries out all that they say.

Carrying them out needs root and minutes: packaging/check-container.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from containerfile import Copy, RecipeError, Run, allowed, context_files, parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "container"
NAMES = ["Containerfile", "Containerfile.alpine"]


@pytest.mark.parametrize("name", NAMES)
def test_the_image_runs_as_a_user_that_is_a_number_and_not_root(name: str) -> None:
    image = parse((FOLDER / name).read_text()).image

    assert "10001" == image.user
    assert (["logagent"], ["run"]) == (image.entrypoint, image.command)
    assert image.volumes == [image.environment["STATE_DIRECTORY"]]


@pytest.mark.parametrize("name", NAMES)
def test_its_health_is_what_status_says_in_time(name: str) -> None:
    check = parse((FOLDER / name).read_text()).image.healthcheck

    assert check is not None
    assert ("logagent", "status") == check.command
    assert {"interval", "timeout", "start-period", "retries"} == check.options.keys()


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_is_copied_is_in_the_context_and_nothing_else_is(name: str) -> None:
    ignore = (FOLDER / f"{name}.dockerignore").read_text()
    steps = [step for stage in parse((FOLDER / name).read_text()).stages for step in stage.steps]
    sources = [
        source
        for step in steps
        if isinstance(step, Copy) and step.stage is None
        for source in step.sources
    ]

    assert all(allowed(ignore, source) for source in sources)
    kept = {str(path.relative_to(ROOT)) for path in context_files(ROOT, ignore)}
    assert {source for source in sources if "*" not in source} == {
        path for path in kept if not path.startswith("dist/")
    }


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_build_gets_into_the_image_but_the_installation(name: str) -> None:
    recipe = parse((FOLDER / name).read_text())
    copies = [step for step in recipe.image.steps if isinstance(step, Copy)]

    assert [Copy(("/opt/logagent",), "/opt/logagent", "build")] == copies
    assert "base" == recipe.image.base
    base = recipe.stage("base")
    assert base is not None
    assert "pip" not in "".join(step.script for step in base.steps if isinstance(step, Run))


def test_both_recipes_make_the_same_image_but_for_what_it_stands_on() -> None:
    first, second = (parse((FOLDER / name).read_text()).image for name in NAMES)

    for what in (
        "user",
        "volumes",
        "entrypoint",
        "command",
        "environment",
        "healthcheck",
        "labels",
    ):
        assert getattr(first, what) == getattr(second, what), what


def test_comments_and_continued_lines_are_read_as_an_engine_reads_them() -> None:
    recipe = parse("# one\nFROM a:1 AS base\nRUN x \\\n# between\n  && y\n\nFROM base\nUSER 7\n")

    assert [Run("x   && y", {})] == recipe.stages[0].steps
    assert ("base", "7") == (recipe.image.base, recipe.image.user)


def test_arguments_and_variables_reach_what_runs() -> None:
    recipe = parse('FROM a\nARG KIND=x\nENV PATH=/opt:$PATH A="b c"\nRUN go\nLABEL l="$KIND"\n')

    assert [Run("go", {"KIND": "x", "PATH": "/opt:", "A": "b c"})] == recipe.image.steps
    assert {"l": "x"} == recipe.image.labels


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RUN x\n",
        "FROM a\nADD x y\n",
        "FROM a\nCMD run\n",
        "FROM a\nCOPY --chown=1 x y\n",
        "FROM a AS b c\n",
        "FROM a\nUSER 1\nRUN x\n",
        "FROM a\nrun x\n",
        "FROM a\nENV A\n",
        "FROM a\nRUN x \\\n",
    ],
)
def test_what_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(RecipeError):
        parse(text)


def test_an_ignore_file_that_lets_more_through_is_an_error() -> None:
    with pytest.raises(RecipeError):
        context_files(ROOT, "bench\n!dist/x\n")


def test_compose_takes_away_what_the_agent_does_not_need() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["logagent"]

    assert service["read_only"] is True
    assert "none" == service["network_mode"]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert "/var/log:/var/log:ro" in service["volumes"]
    image = parse((FOLDER / "Containerfile").read_text()).image
    assert f"state:{image.volumes[0]}" in service["volumes"]
    assert (ROOT / "packaging" / "container" / service["build"]["context"]).resolve() == ROOT
