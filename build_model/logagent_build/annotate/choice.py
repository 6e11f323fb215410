"""Which annotator, from what a command line says: built, with store and budget in front of it.

Guarantees: a key goes where the user said, OpenAI's own to nobody but OpenAI; whatever is opened
is closed again.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from logagent.errors import ConfigError

from logagent_build.annotate import budget as money
from logagent_build.annotate.batch import BatchFiles
from logagent_build.annotate.courier import Courier
from logagent_build.annotate.log_lines import Own, labelled
from logagent_build.annotate.outputs import writable
from logagent_build.annotate.protocol import Annotator
from logagent_build.annotate.recorded import Nothing, Recorded, Store
from logagent_build.annotate.simulated import ErrorModel, Simulated
from logagent_build.annotate.wire import Dialect

__all__ = ["Choice", "Opened", "opened", "own_files"]

_THINKING = re.compile(r"(?:o\d|gpt-5)(?:\b|-)")  # OpenAI's, which refuse a temperature
_OWN_KEY = "LOGAGENT_API_KEY"
_OPENAI = ("api.openai.com", "OPENAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask, and for how much."""

    who: str
    """``http(s)://…/v1``, ``recorded:STORE``, ``batch:FILE`` or ``simulated:FILE,…``."""
    run: str
    """Name of the labelling in the store: what the budget is for, over all its runs."""
    store: Path
    """Where replies are kept, unless ``recorded:`` names another."""
    model: str = ""
    """Required but for simulations."""
    budget: float | None = None
    """[US dollars] of the run."""
    prices: Path | None = None
    """Table of the user's, before the shipped one."""
    responses: Sequence[Path] = ()
    """To a batch file."""
    key_env: str | None = None
    key_file: Path | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Further fields of `endpoint.Settings`."""

    def __post_init__(self) -> None:
        """Check that its parts go together.

        Raises:
            ConfigError: there are responses, and nobody who would take them.
        """
        if self.responses and self.batch is None:
            raise ConfigError("--responses go with --annotator batch:FILE, and no other")

    @property
    def read(self) -> tuple[Path, ...]:
        """Files that are read."""
        kind, _, rest = self.who.partition(":")
        named = kind in ("simulated", "labels", "recorded") and rest.partition(",")[0]
        found = (*self.responses, self.prices, self.key_file, Path(named) if named else None)
        return tuple(path for path in found if path is not None)

    @property
    def batch(self) -> Path | None:
        """File that requests are written to; None if they are sent."""
        kind, _, rest = self.who.partition(":")
        return Path(rest) if kind == "batch" else None

    def check(self, outputs: Sequence[Path], inputs: Sequence[Path | None] = ()) -> None:
        """Refuse what cannot be written, or would be written over replies or what is read.

        Args:
            outputs: written when all is known.
            inputs: further files that are read; None is none.

        Raises:
            ConfigError: an output is another file of these.
            OSError: one cannot be written.
        """
        kept = (*self.read, *inputs, self.store)
        for path in outputs:
            writable(path, kept)
        if self.batch is not None:
            writable(self.batch, (*kept, *outputs))


def own_files(choice: Choice, outputs: Sequence[Path], inputs: Sequence[Path | None]) -> Own:
    """Return which files are the labelling's own, and no logs.

    Args:
        choice: its files are among them; those of a simulation, too.
        outputs: further ones that are written.
        inputs: further ones that are read; None is none.
    """
    return Own(
        (*outputs, choice.store),
        [path for path in (*choice.read, *inputs) if path is not None],
        choice.batch,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """An annotator ready to be asked."""

    annotator: Annotator
    account: money.Account
    store: Store | None
    """None for simulations."""


@contextmanager
def opened(choice: Choice, say: Callable[[str], None] = lambda _text: None) -> Iterator[Opened]:
    """Open an annotator, with its store and budget in front of it.

    Args:
        choice: which one.
        say: hears what people should know meanwhile, such as an endpoint that does not answer.

    Raises:
        ConfigError: there is none like this; the budget needs a price.
        StateError: the store cannot be used.
        OSError: a file cannot be read.
        ValueError: the labelled lines of a simulation are malformed.
    """
    kind, _, rest = choice.who.partition(":")
    if kind == "simulated":
        account = money.Account(None, None)
        yield Opened(money.Budgeted(_simulated(rest), account), account, None)
        return
    if not choice.model:
        raise ConfigError("give the model with --model")
    if kind == "recorded":
        if not Path(rest).is_file():
            raise ConfigError(f"{rest}: no such store of replies")
        with Store(Path(rest)) as store:
            only = Recorded(store, Nothing(choice.model, Path(rest)), choice.run)
            yield Opened(only, money.Account(None, None), store)
        return
    if kind not in ("batch", "http", "https"):
        raise ConfigError(
            f"annotator {choice.who!r}: give an address that ends in /v1, recorded:STORE, "
            "batch:FILE or simulated:FILE"
        )
    if kind != "batch":
        _check(choice.who)
    price = money.price_of(choice.model, choice.prices)
    with Store(choice.store) as store:
        account = money.Account(price, choice.budget, lambda: store.spent(choice.run, choice.model))
        if kind == "batch":
            files = BatchFiles(choice.model, Path(rest), choice.responses, _dialect(choice.model))
            if said := files.doubtful():
                say(said)
            yield _in_front(files, account, store, choice.run)
            return
        courier = _courier(choice, choice.store, say)
        try:
            yield _in_front(courier, account, store, choice.run)
        finally:
            courier.close()


def _in_front(inner: Annotator, account: money.Account, store: Store, run: str) -> Opened:
    return Opened(Recorded(store, money.Budgeted(inner, account), run), account, store)


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        fine = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError(f"annotator {address!r}: no address such as http://127.0.0.1:8080/v1")


def _dialect(model: str) -> Dialect:
    """Return what a model takes, by its name: a file cannot be tried first."""
    if _THINKING.match(model):
        return Dialect(limit="max_completion_tokens", temperature=False)
    return Dialect()


def _courier(choice: Choice, store: Path, say: Callable[[str], None]) -> Courier:
    from logagent_build.annotate.endpoint import Settings  # noqa: PLC0415  # openai: slow

    settings = Settings(
        base_url=choice.who, model=choice.model, key=_key(choice), **choice.settings
    )
    return Courier(settings, store, choice.run, say)


def _key(choice: Choice) -> str:
    """Return the key to send: that of the option, else of the environment, OpenAI's to OpenAI."""
    if choice.key_file is not None:
        return choice.key_file.read_text("utf-8").strip()
    if choice.key_env is not None:
        if choice.key_env not in os.environ:
            raise ConfigError(f"--key-env: there is no {choice.key_env} in the environment")
        return os.environ[choice.key_env].strip()
    host, name = _OPENAI
    if urlsplit(choice.who).hostname == host and name in os.environ:
        return os.environ[name].strip()
    return os.environ.get(_OWN_KEY, "").strip()


def _simulated(rest: str) -> Simulated:
    """Read ``FILE,normal=0.2,anomalous=0.2,template=0.5,ask=0,evidence=0,seed=0``."""
    name, *given = rest.split(",")
    fields = {
        "normal": "wrong_normal",
        "anomalous": "wrong_anomalous",
        "template": "by_template",
        "ask": "by_ask",
        "evidence": "evidence",
    }
    values: dict[str, float] = {}
    for pair in given:
        key, _, value = pair.partition("=")
        if key not in (*fields, "seed"):
            raise ConfigError(f"simulated: {key!r} is none of {', '.join(fields)}, seed")
        values[key] = float(value)
    seed = int(values.pop("seed", 0))
    errors = ErrorModel(**{fields[key]: value for key, value in values.items()})
    return Simulated(dict(labelled(Path(name))), errors, seed)
