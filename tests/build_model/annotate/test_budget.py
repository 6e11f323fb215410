"""What labelling costs, and that it never costs more than allowed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.errors import ConfigError
from logagent_build.annotate.budget import (
    Account,
    Budgeted,
    Price,
    estimate,
    price_of,
    read_prices,
)
from logagent_build.annotate.errors import BudgetReached
from logagent_build.annotate.protocol import Message, Prompt, Reply
from logagent_build.annotate.recorded import Recorded, Spent, Store

from .fakes import Fake, reply

PRICE = Price(input=1.0, output=10.0)


def prompts(count: int, size: int = 10, most: int = 20) -> list[Prompt]:
    return [Prompt((Message("user", f"{n:0{size}}"),), 0.0, most) for n in range(count)]


def costing(tokens: int) -> Fake:
    return Fake(lambda _prompt, _n: reply("x", tokens=tokens))


@given(
    st.integers(0, 60),
    st.integers(1, 200),
    st.integers(1, 200),
    st.floats(0, 0.02),
    st.data(),
)
def test_a_budget_is_never_exceeded(
    count: int, size: int, most: int, limit: float, data: st.DataObject
) -> None:
    """Whatever replies cost: at most as many tokens as bytes were asked, and the limit."""
    fake = Fake(
        lambda _prompt, _n: Reply(
            "x",
            "m",
            data.draw(st.integers(0, size)),
            data.draw(st.integers(0, most)),
            "stop",
            0.0,
        )
    )
    account = Account(PRICE, limit)
    try:
        Budgeted(fake, account).ask(prompts(count, size, most))
        assert count == len(fake.prompts)
    except BudgetReached:
        assert count > len(fake.prompts)

    assert account.dollars is not None
    assert account.dollars <= limit


def test_what_replies_did_not_use_is_spent_on_more() -> None:
    """Reserved is the longest reply; these take a twentieth."""
    fake = costing(1)
    account = Account(PRICE, 0.0030)  # 13 prompts at their worst
    Budgeted(fake, account).ask(prompts(100))

    assert 100 == len(fake.prompts)
    assert fake.waves[0] < 20
    assert len(fake.waves) < 30


def test_reaching_it_says_how_to_go_on() -> None:
    with pytest.raises(BudgetReached, match=r"99 more .* \$0.0004, .*higher --budget") as caught:
        Budgeted(costing(20), Account(PRICE, 0.0004)).ask(prompts(100))

    assert 10 == caught.value.exit_code


def test_what_earlier_runs_paid_counts_and_what_is_stored_costs_nothing(tmp_path: Path) -> None:
    def run(limit: float) -> int:
        fake = costing(20)
        with Store(tmp_path / "s") as store:
            account = Account(PRICE, limit, lambda: store.spent("r", "fake"))
            with contextlib.suppress(BudgetReached):
                Recorded(store, Budgeted(fake, account), "r").ask(prompts(40))
        return len(fake.prompts)

    first, again, more = run(0.003), run(0.003), run(1.0)

    assert 0 < first < 40
    assert (0, 40) == (again, first + more)


def test_a_budget_without_a_price_asks_for_it() -> None:
    with pytest.raises(ConfigError, match="--prices FILE"):
        Account(None, 5.0)


def test_without_a_price_tokens_are_counted() -> None:
    account = Account(None, None)
    Budgeted(costing(7), account).ask(prompts(3))

    assert (3, 21, 21, None) == (
        account.requests,
        account.input_tokens,
        account.output_tokens,
        account.dollars,
    )


def test_progress_hears_of_every_reply() -> None:
    told: list[int] = []
    Budgeted(costing(1), Account(PRICE, None), lambda a: told.append(a.requests)).ask(prompts(3))

    assert [1, 2, 3] == told


def test_earlier_spending_is_read_again_before_each_part() -> None:
    """An earlier run's courier may still be storing replies."""
    spent = iter([Spent(), Spent(5, 1000, 1000)])
    account = Account(PRICE, 0.005, lambda: next(spent))
    with pytest.raises(BudgetReached):
        Budgeted(costing(1), account).ask(prompts(1))


def test_an_estimate_counts_the_longest_replies() -> None:
    made = estimate(prompts(10, size=30), PRICE)

    assert (10, 100, 200) == (made.requests, made.input_tokens, made.output_tokens)
    assert 0.0021 == pytest.approx(made.dollars)
    assert estimate(prompts(1), None).dollars is None


def test_own_prices_come_first(tmp_path: Path) -> None:
    own = tmp_path / "p.toml"
    own.write_text('["gpt-4o"]\ninput = 1\noutput = 2\n["mine"]\ninput = 0\noutput = 0\n')

    assert Price(1.0, 2.0) == price_of("gpt-4o", own)
    assert Price(0.0, 0.0) == price_of("mine", own)
    assert Price(0.15, 0.6) == price_of("gpt-4o-mini", own)
    assert price_of("unknown", own) is None
    assert 0.35 == pytest.approx(Price(0.15, 0.6).of(1_000_000, 333_333), abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "[m]\ninput = 1",
        "[m]\ninput = 1\noutput = -1",
        "[m]\ninput = 1\noutput = true",
        "m = 1",
        "[",
        "[m]\ninput = 1\noutput = nan",
        "[m]\ninput = 1\noutput = 2\nextra = 3",
    ],
)
def test_prices_that_are_wrong_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"p\.toml"):
        read_prices(path)
