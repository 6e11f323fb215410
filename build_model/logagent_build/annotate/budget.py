"""What labelling will cost, has cost, and may cost.

Guarantees: with a budget nothing is sent that might exceed it, even if every reply is as long as
it may be; what earlier runs of the same labelling paid counts. Prices are of the table shipped
(`prices.toml`) or of the user's; a model without a price has its tokens counted only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from logagent.errors import ConfigError

from logagent_build.annotate.errors import BudgetReached
from logagent_build.annotate.protocol import (
    Annotator,
    Arrived,
    Failure,
    Outcome,
    Prompt,
    Reply,
    bound,
)
from logagent_build.annotate.recorded import Spent
from logagent_build.annotate.wire import tokens_about

__all__ = [
    "Account",
    "Budgeted",
    "Estimate",
    "Price",
    "estimate",
    "price_of",
    "read_prices",
    "shown",
]

SHIPPED = Path(__file__).with_name("prices.toml")
_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Price:
    """Of a model, in US dollars per million tokens."""

    input: float
    output: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return dollars."""
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION


def shown(dollars: float | None) -> str:
    """Return an amount for people, small ones with all their digits."""
    return f"${dollars or 0.0:.{2 if dollars and dollars >= 1 else 4}f}"


def read_prices(path: Path = SHIPPED) -> dict[str, Price]:
    """Read a table of prices.

    Raises:
        ConfigError: it cannot be read, or a price is no number at least 0.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    prices = {}
    for model, raw in table.items():
        if not isinstance(raw, dict) or raw.keys() != {"input", "output"}:
            raise ConfigError(f'{path}: ["{model}"] needs input and output, and nothing else')
        for name, value in raw.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ConfigError(f'{path}: ["{model}"] {name}: not a number at least 0')
        prices[model] = Price(float(raw["input"]), float(raw["output"]))
    return prices


def price_of(model: str, own: Path | None = None) -> Price | None:
    """Return a model's price, from the user's own table first; None if neither knows it."""
    if own is not None and (price := read_prices(own).get(model)) is not None:
        return price
    return read_prices().get(model)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What prompts may cost."""

    requests: int
    input_tokens: int
    """About; texts have a token every three bytes."""
    output_tokens: int
    """If every reply is as long as it may be."""
    dollars: float | None
    """From the two; None without a price."""


def estimate(prompts: Iterable[Prompt], price: Price | None) -> Estimate:
    """Estimate the cost of prompts before any is asked."""
    requests = asked = answered = 0
    for prompt in prompts:
        requests += 1
        asked += sum(tokens_about(message.text) for message in prompt.messages)
        answered += prompt.max_tokens
    return Estimate(requests, asked, answered, None if price is None else price.of(asked, answered))


class Account:
    """Counts what was paid, and knows what may be.

    Args:
        price: of the model; None counts tokens only.
        limit: [US dollars] budget of the whole labelling; None is no limit.
        spent: tells what the labelling has paid, in all its runs; asked again before each part,
            as an earlier run's courier may still be storing replies.

    Raises:
        ConfigError: there is a limit but no price to keep it with.
    """

    def __init__(
        self,
        price: Price | None,
        limit: float | None,
        spent: Callable[[], Spent] | None = None,
    ) -> None:
        if limit is not None and price is None:
            raise ConfigError(
                "a budget needs the model's price, which is not known; give it with "
                "--prices FILE, a table such as\n  [MODEL]\n  input = 0.15  # US dollars per "
                "million tokens\n  output = 0.60"
            )
        self.price = price
        self.limit = limit
        self.requests = self.input_tokens = self.output_tokens = 0
        self._spent = spent
        self.refresh()

    def refresh(self) -> None:
        """Read again what was paid."""
        if self._spent is not None:
            spent = self._spent()
            self.requests = spent.requests
            self.input_tokens = spent.input_tokens
            self.output_tokens = spent.output_tokens

    @property
    def dollars(self) -> float | None:
        """Paid so far; None without a price."""
        return None if self.price is None else self.price.of(self.input_tokens, self.output_tokens)

    def paid(self, reply: Reply) -> None:
        """Add a reply."""
        self.requests += 1
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens

    def affordable(self, prompts: Sequence[Prompt]) -> int:
        """Return how many of the first prompts can be sent whatever the replies cost."""
        if self.limit is None or self.price is None:
            return len(prompts)
        worst = self.dollars or 0.0
        for count, prompt in enumerate(prompts):
            worst += self.price.of(bound(prompt), prompt.max_tokens)
            if worst > self.limit:
                return count
        return len(prompts)


class Budgeted:
    """An `Annotator` that asks another one no more than the budget allows."""

    def __init__(
        self,
        inner: Annotator,
        account: Account,
        counted: Callable[[Account], None] = lambda _account: None,
    ) -> None:
        """Take the annotator, the account, and whom to tell of each change of it."""
        self._inner = inner
        self._account = account
        self._counted = counted

    @property
    def model(self) -> str:
        """That of the annotator behind."""
        return self._inner.model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`.

        What is left of the budget is reserved at the highest cost, so a part is asked, its real
        cost counted, and then the next part, until not even one more prompt is sure to fit.
        """
        outcomes: list[Outcome] = [Failure("no outcome", retryable=True)] * len(prompts)
        done = 0
        while done < len(prompts):
            self._account.refresh()
            count = self._account.affordable(prompts[done:])
            if not count:
                raise BudgetReached(
                    f"{len(prompts) - done:,} more requests might exceed the budget of "
                    f"{shown(self._account.limit)}, of which {shown(self._account.dollars)} is "
                    "spent; "
                    "what arrived is stored, run the same command with a higher --budget to go on"
                )
            start = done

            def came(index: int, outcome: Outcome, start: int = start) -> None:
                if isinstance(outcome, Reply):
                    self._account.paid(outcome)
                    self._counted(self._account)
                outcomes[start + index] = outcome
                if arrived is not None:
                    arrived(start + index, outcome)

            self._inner.ask(prompts[done : done + count], came)
            done += count
        return outcomes
