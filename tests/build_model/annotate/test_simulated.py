"""A simulation errs as stated, and says that it is one."""

from __future__ import annotations

import pytest
from logagent_build.annotate.labelling import Options, label
from logagent_build.annotate.prompt_files import load
from logagent_build.annotate.protocol import Failure, Message, Prompt, Reply
from logagent_build.annotate.simulated import ErrorModel, Simulated

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
]
LINES = [
    f"{one} {two} {three} took {1500 + n} ms"
    for one in WORDS
    for two in WORDS
    for three in WORDS
    for n in range(2)
]
TRUTH = {line: number % 4 == 0 for number, line in enumerate(LINES)}
TRUSTED = Options(isolation="trusted", lines_per_prompt=50)


def labels(errors: ErrorModel, seed: int = 0, votes: int = 1, **given: object) -> list[bool | None]:
    simulated = Simulated(dict(TRUTH), errors, seed, **given)  # type: ignore[arg-type]  # as given
    made = label(LINES, simulated, load("loggpt"), votes=votes, options=TRUSTED)
    return [each.anomalous for each in made]


def rates(made: list[bool | None]) -> tuple[float, float]:
    """Share of normal, of anomalous lines that are wrong."""
    wrong = {False: [0, 0], True: [0, 0]}
    for line, each in zip(LINES, made, strict=True):
        wrong[TRUTH[line]][0] += each is not TRUTH[line]
        wrong[TRUTH[line]][1] += 1
    return wrong[False][0] / wrong[False][1], wrong[True][0] / wrong[True][1]


def test_without_errors_it_is_right() -> None:
    assert (0.0, 0.0) == rates(labels(ErrorModel()))


@pytest.mark.parametrize("by_template", [0.0, 1.0])
def test_errors_have_the_stated_rates(by_template: float) -> None:
    normal, anomalous = rates(labels(ErrorModel(0.2, 0.4, by_template)))

    assert 0.2 == pytest.approx(normal, abs=0.03)
    assert 0.4 == pytest.approx(anomalous, abs=0.05)


def test_errors_of_a_template_come_together() -> None:
    """Lines 2k and 2k+1 differ in a number, so are of one template."""
    truth = dict.fromkeys(LINES, False)
    for by_template, least, most in ((1.0, 1.0, 1.0), (0.0, 0.6, 0.75)):
        simulated = Simulated(dict(truth), ErrorModel(0.2, 0.2, by_template))
        made = label(LINES, simulated, load("loggpt"), options=TRUSTED)
        pairs = list(zip(made[::2], made[1::2], strict=True))
        alike = sum(a.anomalous is b.anomalous for a, b in pairs) / len(pairs)

        assert least <= alike <= most


def test_votes_help_against_errors_of_an_ask_only() -> None:
    one, three = ErrorModel(0.2, 0.2, 0.0, 1.0), ErrorModel(0.2, 0.2, 0.0, 0.0)

    assert 0.104 == pytest.approx(rates(labels(one, votes=3))[0], abs=0.025)  # 3p² - 2p³
    assert 0.2 == pytest.approx(rates(labels(three, votes=3))[0], abs=0.03)


def test_errors_are_more_near_the_boundary_at_the_same_rate() -> None:
    margins = {line: (number % 97) / 96 for number, line in enumerate(LINES)}
    made = labels(ErrorModel(0.2, 0.2, 0.0), margins=margins)
    near = [n for n, line in enumerate(LINES) if margins[line] < 0.25]
    far = [n for n, line in enumerate(LINES) if margins[line] > 0.75]

    def wrong(numbers: list[int]) -> float:
        return sum(made[n] is not TRUTH[LINES[n]] for n in numbers) / len(numbers)

    assert 0.2 == pytest.approx(rates(made)[0], abs=0.03)
    assert wrong(near) > 3 * wrong(far)


def test_a_seed_repeats_and_another_differs() -> None:
    errors = ErrorModel(0.2, 0.2, 0.3, 0.3)

    assert labels(errors) == labels(errors)
    assert labels(errors) != labels(errors, seed=1)


def test_replies_are_marked_as_simulated() -> None:
    simulated = Simulated({"a": True}, ErrorModel(0.25))
    text = "BEGIN LINES 0123456789abcdef\n[b2c3] a\nEND LINES 0123456789abcdef"
    (reply,) = simulated.ask([Prompt((Message("user", text),), 0.0, 9)])

    assert isinstance(reply, Reply)
    assert reply.model.startswith("simulated: 0.25 of normal")


def test_lines_it_does_not_know_are_refused() -> None:
    text = "BEGIN LINES 0123456789abcdef\n[b2c3] b\nEND LINES 0123456789abcdef"
    (outcome,) = Simulated({"a": True}, ErrorModel()).ask([Prompt((Message("user", text),), 0, 9)])

    assert isinstance(outcome, Failure)


def test_rates_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        ErrorModel(1.5)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        ErrorModel(by_template=0.7, by_ask=0.7)
