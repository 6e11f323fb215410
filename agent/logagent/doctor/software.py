"""Checks of what is installed: versions, the detector's backends, the model bundle.

Guarantees: a bundle is only mapped and verified, one line is scored. Left to others: onnxruntime is
imported by `logagent.model` alone, as everywhere.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from logagent import __version__
from logagent.bundle import Bundle
from logagent.doctor.case import Case
from logagent.doctor.findings import Finding, found_ok, note, problem, quoted, warning
from logagent.errors import BackendError, BundleError, LogagentError
from logagent.report import size_text
from logagent.sanitise import printable

__all__ = ["backend", "bundle", "bundle_date", "package_date", "versions"]

_PARITY = 1e-4  # largest difference of the backends' scores, as `logagent.model` guarantees
_LINE = b"kernel: EXT4-fs error (device mmcblk0p2): ext4_journal_check_start: aborted journal"
_LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "msgpack")
_DATES = ("made", "built", "date", "created")  # keys of a bundle's record that hold a day
_OLD_SECONDS = 2 * 365 * 86400.0  # [s] logs change with the software that writes them


def versions(_case: Case) -> Iterator[Finding]:
    """Tell what is installed on what kind of machine."""
    found = {name: _version(name) for name in _LIBRARIES}
    libraries = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield found_ok(f"logagent {__version__}, Python {platform.python_version()}, {libraries}")
    missing = [name for name, version in found.items() if not version and name != "onnxruntime"]
    if missing:
        command = f"{quoted(sys.executable)} -m pip install --force-reinstall logagent"
        yield problem(f"not installed: {', '.join(missing)}", command)
    bits = 64 if sys.maxsize > 2**32 else 32
    yield found_ok(f"{platform.system()} {platform.release()}, {platform.machine()}, {bits}-bit, "
                   f"{_libc()}")  # fmt: skip


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(version unknown)" if importlib.util.find_spec(name) else ""


def _libc() -> str:
    name, version = platform.libc_ver()
    if name:
        return f"{name} {version}".strip()
    return "musl" if any(Path("/lib").glob("ld-musl-*")) else "C library unknown"


def bundle(case: Case) -> Iterator[Finding]:
    """Tell whether the model bundle loads, and what it is."""
    try:
        path, why = case.bundle.path, case.bundle.why
        loaded = Bundle.load(path)
    except LogagentError as error:
        yield _unusable(case, str(error))
        return
    if (
        why != "updated"
        and case.machine.real
        and (obstacle := case.access.obstacle(str(path))) is not None
    ):
        yield problem(
            f"{case.machine.account.who} cannot read {path}: {obstacle.path}: {obstacle.reason}",
            f"sudo chmod -R a+rX {quoted(obstacle.path)}",
        )
    manifest = loaded.manifest
    marks = ", ".join(f"{name} {value:.3f}" for name, value in sorted(manifest.thresholds.items()))
    size = size_text(sum(loaded.sizes().values()))
    where = "the shipped one" if why == "shipped" else f"{why}, {path}"
    yield found_ok(
        f"{manifest.name} {loaded.sha256[:12]} ({where}), {size}, verified; thresholds {marks}"
    )
    sensitivity = case.chosen.model.sensitivity
    if case.chosen.model.threshold is None and sensitivity not in manifest.thresholds:
        yield problem(
            f"it has no sensitivity {sensitivity!r}", 'set [model] sensitivity = "normal"'
        )
    if case.chosen.sequences.enabled:
        yield _sequences(case, loaded)
    made = bundle_date(loaded)
    if made is None:
        commit = manifest.record.get("commit")
        said = f", only its commit, {commit}" if isinstance(commit, str) else ""
        yield note(f"age unknown: its record names no day{said}")
    elif (age := case.machine.now() - made) > _OLD_SECONDS:
        yield warning(
            f"made {age / 86400:.0f} days ago",
            f"{quoted(sys.executable)} -m pip install -U logagent",
        )
    else:
        yield found_ok(f"made {max(age, 0) / 86400:.0f} days ago")


def _sequences(case: Case, loaded: Bundle) -> Finding:
    """Tell whether sequences can be judged with this bundle and these rules, as the agent does."""
    from logagent.service.sequencing import make_sequences  # noqa: PLC0415 - few want it

    try:
        make_sequences(case.chosen, loaded, "", lambda _kind, _text: None, None)
    except (BackendError, BundleError) as error:
        if case.bundle.why == "updated":
            return warning(
                f"sequences are not judged: {error}",
                "mend [sequences] or sudo logagent model rollback",
            )
        return problem(f"the agent does not start: {error}", "mend [sequences] or [model] bundle")
    rules = len(case.chosen.sequences.rules)
    said = f"by {rules} of your rules" if rules else "as it was trained"
    return found_ok(f"judges sequences, {said}")


def _unusable(case: Case, said: str) -> Finding:
    """Tell of a bundle that cannot be used, and what would be used in its place."""
    with suppress(LogagentError):
        if case.bundle.why == "updated":
            return warning(
                f"{said}; the shipped one is used instead", "sudo logagent model rollback"
            )
        if case.bundle.why == "configured":
            path = quoted(str(case.bundle.path))
            return problem(said, f"logagent model verify --bundle {path}; mend [model] bundle")
        again = f"{quoted(sys.executable)} -m pip install --force-reinstall logagent"
        return problem(said, again)
    return note(said, "sudo logagent doctor")


def bundle_date(loaded: Bundle) -> float | None:
    """Return when a bundle was made [s since 1970], as far as its record tells."""
    record = loaded.manifest.record
    for key in _DATES:
        text = record.get(key)
        if isinstance(text, str):
            try:
                return time.mktime(time.strptime(text[:10], "%Y-%m-%d"))
            except (ValueError, OverflowError):
                continue
    return None


def backend(case: Case) -> Iterator[Finding]:
    """Tell which backend is chosen and why, and that all there are agree on one line."""
    from logagent.normalise import templates  # noqa: PLC0415 - numpy only where it is needed
    from logagent.scorer import Scorer  # noqa: PLC0415

    asked = case.chosen.model.backend
    try:
        loaded = Bundle.load(case.bundle.path)
        scorer = Scorer(loaded, asked)
    except LogagentError as error:
        if asked == "onnxruntime" and not isinstance(error, BundleError):
            yield problem(str(error), 'set [model] backend = "auto"')
        else:
            yield note("not tried: the bundle cannot be used, see there", "logagent model verify")
        return
    line = templates([_LINE]).templates
    chosen = scorer.backend.name
    score = float(scorer.scores(line)[0])
    have = importlib.util.find_spec("onnxruntime") is not None
    if chosen == "numpy" and asked == "auto":
        reason = "cannot be imported" if have else "is not installed"
        why = f"onnxruntime {reason}; there is no wheel for 32-bit ARM and musl"
        yield found_ok(f"numpy, because {why}; the scores are the same")
    else:
        yield found_ok(
            f"{chosen}, backend = {asked!r}; a line about a broken disk scores {score:.4f}"
        )
    if not have:
        return
    other = "numpy" if chosen == "onnxruntime" else "onnxruntime"
    try:
        second = float(Scorer(loaded, other).scores(line)[0])
    except LogagentError as error:
        yield note(f"{other} cannot be compared: {printable(str(error), 200)}")
        return
    if abs(score - second) > _PARITY:
        yield problem(
            f"{chosen} scores a line {score:.6f}, {other} {second:.6f}: more than {_PARITY} apart",
            'set [model] backend = "numpy" and report it with `logagent doctor --json`',
        )
    else:
        yield found_ok(f"{chosen} and {other} agree on a line to {_PARITY:g}")


def package_date() -> float:
    """Return when this package was put on disk [s since 1970]."""
    return os.stat(__file__).st_mtime
