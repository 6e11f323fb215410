"""What `logagent model update` and `rollback` do: another bundle in force, or nothing changed.

Guarantees: an update that fails at any step, or that the running agent does not take, leaves the
bundle in force as it was; a bundle is taken only after all of it was checked, its model was loaded
with the backend of the configuration, and it was compared with the one in force.

Left to others: names of files and crashes between them (`model_store`), getting bytes
(`download`), who made them (`signature`), the agent's part (`takeover`).
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from logagent.config import Config
from logagent.download import source
from logagent.errors import EXIT_OK, BundleError, ConfigError, LogagentError
from logagent.model_command import (
    LARGEST_BUNDLE_BYTES,
    check_signature,
    compared,
    say,
    sequences_trouble,
    settings_of,
    shown,
    try_model,
)
from logagent.model_store import Store, in_force
from logagent.report import size_text
from logagent.sanitise import printable
from logagent.service.parts import Model, open_model
from logagent.shadow import Comparison
from logagent.takeover import RunningAgent, running_agent

__all__ = ["Update", "rollback", "update"]

# More than so many times the alerts, and so many on top, is not taken without a question.
_FLOOD_FACTOR, _FLOOD_GROUPS = 3, 20


@dataclass(frozen=True, slots=True)
class Update:
    """How a bundle is to be taken."""

    sha256: str | None = None
    """What ``sha256sum`` prints of the file; None if that is not known."""
    key: Path | None = None
    """Public key; None for that of the configuration, if it names one."""
    insecure_http: bool = False
    yes: bool = False
    """Do not ask."""
    force: bool = False
    """Do not ask even if it would alert far more."""
    paths: tuple[str, ...] = ()
    """Files to compare on; empty for those that are watched."""


def update(place: str, asked: Update, config: Path | None, state_dir: Path | None) -> int:
    """Take a bundle from a file or a web address.

    Raises:
        LogagentError: it was not taken, everything is as it was.
    """
    settings = _updatable(config, state_dir)
    origin = source(place, insecure_http=asked.insecure_http)
    key = asked.key or (Path(settings.model.public_key) if settings.model.public_key else None)
    _agent(settings)  # what would be in the way later is told before anything is fetched
    data = origin.read(LARGEST_BUNDLE_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    if asked.sha256 is not None and asked.sha256.strip().lower() != digest:
        raise BundleError(
            f"{origin.name}: the file's SHA-256 is {digest}, not the one that was asked for"
        )
    if key is not None:
        check_signature(origin, data, key)
    with Store(settings.state.folder()) as store:
        try:
            new = open_model(settings, store.stage(data))
            try_model(new, origin.name)
        except BundleError as error:  # names the copy, which is of no use to anybody
            raise BundleError(str(error).replace(str(store.staged), origin.name)) from None
        say(_described(origin.name, new, len(data), key))
        old = _model_in_force(settings)
        if old is not None and old.scorer.bundle.sha256 == new.scorer.bundle.sha256:
            say("it is in force already; nothing was changed")
            return EXIT_OK
        result = None if old is None else compared(settings, asked.paths, None, old, new)
        loses = _loses_sequences(settings, old, new, origin.name, store)
        if not _agreed(result, asked, loses_sequences=loses):
            say("nothing was changed")
            return EXIT_OK
        agent = _agent(settings)
        store.take_staged()
        _hand_over(store, agent, new)
        say(f"in force: {printable(str(store.current), 1000)}")
    _say_taken(agent)
    return EXIT_OK


def rollback(config: Path | None, state_dir: Path | None) -> int:
    """Go back to the bundle before the last update or rollback.

    Raises:
        LogagentError: that cannot be done, everything is as it was.
    """
    settings = _updatable(config, state_dir)
    with Store(settings.state.folder()) as store:
        target = store.behind() or in_force(settings)  # then `roll_back` says so
        model = open_model(settings, target.path)
        try_model(model, str(target.path))
        agent = _agent(settings)
        if (trouble := sequences_trouble(settings, model)) is not None:
            say(_unjudged(trouble))
        store.roll_back()
        _hand_over(store, agent, model)
        found = in_force(settings)
        name = f"{printable(model.scorer.bundle.manifest.name, 60)} {_short(model)}"
        say(f"in force: {name}, {found.why}, {printable(str(found.path), 1000)}")
    _say_taken(agent)
    return EXIT_OK


# -- the steps


def _updatable(config: Path | None, state_dir: Path | None) -> Config:
    """Return the configuration, if what an update does would be in force.

    Raises:
        ConfigError: it names a bundle, which goes before any update.
    """
    settings = settings_of(config, state_dir)
    if settings.model.bundle:
        raise ConfigError(
            f"{printable(str(settings.file), 1000)}: model.bundle: names a bundle, and that goes "
            "before an update; take the key out, or replace that file by renaming another over it"
        )
    return settings


def _agent(settings: Config) -> RunningAgent | None:
    """Return the running agent, None if there is none.

    Raises:
        LogagentError: it cannot be told, or uses a bundle that no update changes.
    """
    agent = running_agent(settings.state.folder())
    ours = ("/models/current.bundle", "/data/default.bundle")
    if agent is not None and not f"/{agent.bundle}".endswith(ours):
        raise BundleError(
            f"the running agent, process {agent.pid}, was told to use "
            f"{printable(agent.bundle, 300)}; no update reaches it before it is started without "
            "that"
        )
    return agent


def _model_in_force(settings: Config) -> Model | None:
    """Return the model in force; None if it cannot be used, which an update mends."""
    found = in_force(settings)
    try:
        return open_model(settings, found.path)
    except BundleError as error:
        say(f"{printable(str(error), 500)}: nothing to compare with")
        return None


def _loses_sequences(
    settings: Config, old: Model | None, new: Model, name: str, store: Store
) -> bool:
    """Tell whether sequences are judged now and would be no more; say so if they would not be."""
    trouble = sequences_trouble(settings, new)
    if trouble is None:
        return False
    say(_unjudged(trouble.replace(str(store.staged), name)))
    return old is not None and sequences_trouble(settings, old) is None


def _agreed(result: Comparison | None, asked: Update, *, loses_sequences: bool) -> bool:
    """Show what would change, and tell whether to go on.

    Raises:
        BundleError: nobody is there to ask, or to see that it would alert far more, or that
            sequences would be judged no more.
    """
    if result is not None:
        for line in shown(result):
            say(line)
        flood = result.new.groups > _FLOOD_FACTOR * result.old.groups + _FLOOD_GROUPS
        if flood and asked.yes and not asked.force:
            raise BundleError(
                f"not taken: {result.new.groups:,} alerts where there were "
                f"{result.old.groups:,}; --force takes it all the same"
            )
    if loses_sequences and asked.yes and not asked.force:
        raise BundleError(
            "not taken: sequences are judged now, and would not be with it; --force takes it all "
            "the same"
        )
    if asked.yes or asked.force:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise BundleError("not taken: nobody is here to ask; --yes takes it without a question")
    sys.stdout.write("Take it? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _hand_over(store: Store, agent: RunningAgent | None, model: Model) -> None:
    """Have the running agent take what is in force now, then finish; or undo it all.

    Raises:
        LogagentError: the agent does not take it.
    """
    if agent is not None:
        try:
            agent.take(model.scorer.bundle.sha256)
        except (Exception, KeyboardInterrupt) as error:
            store.undo()
            with suppress(LogagentError):  # it may have died, and then finds what was there
                agent.reload()
            if isinstance(error, BundleError):
                raise BundleError(f"{error}; everything is as it was") from None
            raise
    store.finish()


# -- words


def _described(name: str, model: Model, size: int, key: Path | None) -> str:
    signed = f"signed by {printable(str(key), 300)}" if key else "not signed"
    title = printable(model.scorer.bundle.manifest.name, 60)
    return f"{name}: {title} {_short(model)}, {size_text(size)}, good, {signed}"


def _unjudged(trouble: str) -> str:
    return f"sequences are enabled, and would not be judged: {printable(trouble, 500)}"


def _short(model: Model) -> str:
    return model.scorer.bundle.sha256[:12]


def _say_taken(agent: RunningAgent | None) -> None:
    if agent is None:
        say("no agent runs with this state folder; the next one that starts uses it")
    else:
        say(f"the running agent, process {agent.pid}, uses it")
    say("`logagent model rollback` goes back")
