"""MaidLog's label calibration (§III-B3, Fig. 2): ask, verify, ask the doubtful again, repeat.

    initial labels → verifier → candidates, support → queries with evidence → answers → cache
                         ↑______________________ a round ______________________________|

`Calibration` holds everything a run is, apart from the entries; `run` is the loop. Guarantees: no
truth is read but for the record; what is drawn in a round depends on the seed and the round
alone, so that a run that was stopped between two rounds goes on with the same queries, and with
the same answers comes to the same labels bit for bit. Queries of a round are one call of
`AskQueries`, which is one exchange of batch files. Leaves keeping it on disk to `state`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.candidates import Choice, Portions, choose
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.evidence import Evidence, plain, queries
from logagent_build.calibrate.label_cache import LabelCache
from logagent_build.calibrate.queries import Answer, AskQueries, Query
from logagent_build.calibrate.rounds import Round, by_kind, quality
from logagent_build.calibrate.stopping import Rule, Witnesses
from logagent_build.calibrate.verifier import Verifier, Verifying

__all__ = ["Calibration", "Settings", "run"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to calibrate."""

    rounds: int = 42
    """Most rounds (§IV-C)."""
    calls: int | None = None
    """Most queries of all rounds together, the initial labelling not counted; None: no limit."""
    portions: Portions = field(default_factory=Portions)
    verifying: Verifying = field(default_factory=Verifying)
    evidence: Evidence = field(default_factory=Evidence)
    carry_on: bool = False
    """Whether the verifier is trained on from round to round (§IV-G); else each round begins with
    a new one, which cannot have memorised wrong labels."""
    growth: float = 1.0
    """Of weights, see `label_cache`."""
    stopping: Rule | None = field(default_factory=Rule)
    """By which to end, and to choose the round whose labels to take; None: all rounds, the last."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.rounds < 0 or self.growth < 0 or (self.calls is not None and self.calls < 0):
            raise ValueError("rounds, calls and growth are not negative")


class Calibration:
    """A calibration between two rounds."""

    def __init__(
        self,
        entries: Entries,
        settings: Settings,
        truth: Bools | None = None,
        known: Bools | None = None,
    ) -> None:
        """Begin one.

        Args:
            entries: to be labelled.
            settings: see there.
            truth: for the record only: whether each entry is anomalous, bool (n,).
            known: where the truth is known, bool (n,); None: everywhere.
        """
        self.entries = entries
        self.settings = settings
        self._truth = np.zeros(len(entries), np.bool_) if truth is None else truth
        if known is None:
            known = np.full(len(entries), truth is not None)
        self._known = known
        self.cache = LabelCache(len(entries), settings.growth)
        self.rounds: list[Round] = []
        self._verifier: Verifier | None = None
        self._witnesses: Witnesses | None = None

    @property
    def calls(self) -> int:
        """Queries of all rounds, the initial labelling not counted."""
        return sum(each.asked for each in self.rounds[1:])

    @property
    def begun(self) -> bool:
        """Whether there are initial labels."""
        return bool(self.rounds)

    def begin(self, ask: AskQueries) -> None:
        """Ask about every entry by itself: round 0."""
        made = plain(self.entries)
        self._take(np.arange(len(made)), made, _answers(ask, made))

    def begin_with(self, anomalous: Sequence[bool | None]) -> None:
        """Take initial labels from elsewhere; None where there is none. Counts no calls."""
        for entry, label in enumerate(anomalous):
            if label is not None:
                self.cache.add(entry, 0, anomalous=label)
        labels = self.cache.hard()
        self.rounds.append(self._judged(Round(0, 0, 0, 0, int(labels.sum()))))

    def verifier_state(self) -> bytes | None:
        """Return the state of a verifier that goes on from round to round; None of others."""
        if self._verifier is None or not self.settings.carry_on:
            return None
        return self._verifier.state()

    def restore(self, cache: LabelCache, rounds: list[Round], verifier: bytes | None) -> None:
        """Go on where another calibration of the same entries and settings was.

        Raises:
            ValueError: it was of other entries.
        """
        if cache.entries != len(self.entries):
            raise ValueError(f"{cache.entries} entries, not {len(self.entries)}")
        self.cache = cache
        self.rounds = rounds
        if verifier is not None:
            self._verifier = self._new_verifier(1)
            self._verifier.restore(verifier)

    def done(self) -> bool:
        """Tell whether no round is to follow."""
        settings = self.settings
        spent = settings.calls is not None and self.calls >= settings.calls
        if spent or len(self.rounds) > settings.rounds or self._idle():
            return True
        return settings.stopping is not None and settings.stopping.ends(self._signals())

    @property
    def best(self) -> int:
        """Round whose labels are taken."""
        rule = self.settings.stopping
        return len(self.rounds) - 1 if rule is None else rule.best(self._signals())

    def _signals(self) -> list[float]:
        return [each.signal for each in self.rounds]

    def _idle(self) -> bool:
        """Tell whether the last round found nothing to ask: the next ones would find the same."""
        return len(self.rounds) > 1 and self.rounds[-1].asked == 0

    def round(self, ask: AskQueries) -> Round:
        """Run one round.

        If `ask` raises, nothing has changed.
        """
        number = len(self.rounds)
        kept = self.verifier_state()
        try:
            return self._round(ask, number)
        except BaseException:
            if kept is not None and self._verifier is not None:
                self._verifier.restore(kept)
            elif kept is None:
                self._verifier = None
            raise

    def _round(self, ask: AskQueries, number: int) -> Round:
        random = np.random.default_rng([self.settings.seed, number])
        soft = self.cache.soft()
        labels = self.cache.hard()
        choice = self._choose(soft, labels, number, random)
        made = queries(
            self.entries,
            choice.candidates,
            labels,
            choice.support,
            self.settings.evidence,
            number,
            random,
        )
        return self._take(choice.candidates, made, _answers(ask, made), choice)

    def labels(self, until: int | None = None) -> Floats:
        """Return soft labels, for the detector: float64 (n,), in [0, 1].

        Args:
            until: last round that counts; None: `best`.
        """
        return self.cache.soft(self.best if until is None else until)

    def _choose(
        self, soft: Floats, labels: Bools, number: int, random: np.random.Generator
    ) -> Choice:
        settings = self.settings
        entries = self.entries
        verifying = settings.verifying
        if self._verifier is None or not settings.carry_on:
            self._verifier = self._new_verifier(number)
            self._verifier.train(soft, verifying.startup_epochs)
        else:
            self._verifier.train(soft, verifying.epochs)
        checked = self._verifier.check(soft)
        progress = (number - 1) / max(1, settings.rounds - 1)
        trusted = self.cache.answers() > 0  # what nobody labelled is no example
        if settings.portions.witnessed:
            trusted &= self._heard().agree(labels)
        choice = choose(
            checked,
            labels,
            entries.domain,
            settings.portions,
            progress,
            random,
            trusted=trusted,
        )
        if settings.calls is not None and len(choice.candidates) > settings.calls - self.calls:
            kept = random.permutation(len(choice.candidates))[: settings.calls - self.calls]
            kept = np.sort(kept)
            choice = Choice(choice.candidates[kept], choice.disagreed[kept], choice.support)
        return choice

    def _new_verifier(self, number: int) -> Verifier:
        entries = self.entries
        seed = np.random.default_rng([self.settings.seed, number, 1]).integers(2**31)
        verifying = self.settings.verifying
        return Verifier(entries.vectors, entries.domain, entries.count, verifying, int(seed))

    def _take(
        self,
        asked: npt.NDArray[np.int64],
        made: Sequence[Query],
        answers: Sequence[Answer],
        choice: Choice | None = None,
    ) -> Round:
        """Add answers, and the row of the round."""
        number = len(self.rounds)
        before = self.cache.hard()
        answered = np.array([each.anomalous is not None for each in answers], np.bool_)
        said = np.array([bool(each.anomalous) for each in answers], np.bool_)
        for entry, label in zip(asked[answered].tolist(), said[answered].tolist(), strict=True):
            self.cache.add(entry, number, anomalous=label)
        after = self.cache.hard()
        row = Round(
            number,
            len(made),
            int((~answered).sum()),
            int((before != after).sum()) if choice is not None else 0,
            int(after.sum()),
        )
        if choice is not None:
            kinds = [query.kind for query in made]
            against = answered & (said != before[asked])
            row = dataclasses.replace(
                row,
                candidates=self._by_group(asked, before),
                disagreed=int(choice.disagreed.sum()),
                support=int(choice.support.sum()),
                kinds=by_kind(kinds, np.ones(len(kinds), np.bool_)),
                against=by_kind(kinds, against),
            )
            if self._known.any():
                known = self._known[asked]
                wrong = before != self._truth
                was_wrong = known & wrong[asked]
                row = dataclasses.replace(
                    row,
                    candidates_wrong=_mean(wrong[asked][known]),
                    support_wrong=_mean(wrong[choice.support & self._known]),
                    repaired=by_kind(kinds, against & was_wrong),
                    broken=by_kind(kinds, against & known & ~was_wrong),
                )
        self.rounds.append(self._judged(row))
        return self.rounds[-1]

    def _judged(self, row: Round) -> Round:
        """Put what is known of the labels after a round into its row."""
        labels = self.cache.hard()
        found = quality(labels, self._truth, self._known, self.entries.count)
        return dataclasses.replace(row, signal=self._heard().signal(labels), quality=found)

    def _heard(self) -> Witnesses:
        if self._witnesses is None:
            self._witnesses = Witnesses(
                self.entries.vectors,
                self.entries.domain,
                self.cache.hard(0),
                self.cache.answers(0) > 0,
                self.settings.stopping or Rule(),
            )
        return self._witnesses

    def _by_group(self, asked: npt.NDArray[np.int64], before: Bools) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for entry in asked.tolist():
            group = found.setdefault(
                self.entries.names[self.entries.domain[entry]], {"normal": 0, "anomalous": 0}
            )
            group["anomalous" if before[entry] else "normal"] += 1
        return found


def run(
    calibration: Calibration,
    ask: AskQueries,
    after: Callable[[Round], None] = lambda _row: None,
) -> None:
    """Run a calibration to its end, from wherever it is.

    Args:
        calibration: begun or not.
        ask: whom to ask.
        after: told each round when it is over.
    """
    if not calibration.begun:
        calibration.begin(ask)
        after(calibration.rounds[-1])
    while not calibration.done():
        after(calibration.round(ask))


def _answers(ask: AskQueries, made: Sequence[Query]) -> Sequence[Answer]:
    answers = ask(made) if made else []
    if len(answers) != len(made):
        raise ValueError(f"{len(made)} queries were asked, {len(answers)} answers came")
    return answers


def _mean(values: Bools) -> float:
    return float(values.mean()) if len(values) else 0.0
