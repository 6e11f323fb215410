"""What `logagent config` does: say whether a configuration is good, and print what is in force.

Guarantees: nothing is written but standard output and standard error; a warning changes no exit
code; at most `MAX_WARNINGS` are printed.
"""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from logagent.config import Config, default_file, load
from logagent.errors import EXIT_OK, ConfigError
from logagent.paths import STDIN, SourceProblem, find
from logagent.sanitise import printable
from logagent.sinks.secret_files import told_to_others

__all__ = ["MAX_WARNINGS", "check", "show"]

MAX_WARNINGS = 20
"""Lines; a folder that one may not read can hold thousands of files."""


def check(path: Path | None) -> int:
    """Print whether the configuration can be used; return 0, or `ConfigError.exit_code`.

    Warns of watched paths that match nothing or cannot be read by who runs this.
    """
    try:
        config = load(path)
    except ConfigError as error:
        for line in str(error).splitlines():
            print(f"logagent: {line}", file=sys.stderr)  # noqa: T201
        return ConfigError.exit_code
    warnings = _warnings(config)
    for line in islice(warnings, MAX_WARNINGS):
        print(f"logagent: warning: {line}", file=sys.stderr)  # noqa: T201
    if next(warnings, None) is not None:
        print("logagent: warning: … and more", file=sys.stderr)  # noqa: T201
    if config.file is None:
        print(f"{printable(str(default_file()))}: not there; the defaults are good")  # noqa: T201
    else:
        print(f"{printable(str(config.file))}: good")  # noqa: T201
    return EXIT_OK


def show(path: Path | None) -> int:
    """Print what is in force as TOML, with where each value came from.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    config = load(path)
    read = f"read from {config.file}" if config.file else f"defaults; no {default_file()}"
    print(f"# {printable(read, 1000)}")  # noqa: T201
    print(f"# state folder: {printable(str(config.state.folder()), 1000)}")  # noqa: T201
    print(config.to_toml(), end="")  # noqa: T201
    return EXIT_OK


def _warnings(config: Config) -> Iterator[str]:
    """Yield what is allowed but probably not meant, one printable line each."""
    for found in find([path for path in config.watch.paths if path != STDIN]):
        if isinstance(found, SourceProblem):
            yield f"{printable(found.source, 300)}: {printable(found.message, 200)}"
        elif not os.access(found[0], os.R_OK) and not _excluded(found[0], config.watch.exclude):
            yield f"{printable(found[0], 300)}: no permission to read it"
    if config.model.bundle and not os.path.isfile(config.model.bundle):
        yield f"{printable(config.model.bundle, 300)}: no such bundle (model.bundle)"
    for key, path in (
        ("sinks.jsonl", config.sinks.jsonl),
        ("prometheus.textfile", config.prometheus.textfile),
    ):
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            yield f"{printable(folder, 300)}: no such folder ({key})"
    yield from _sink_warnings(config)


def _sink_warnings(config: Config) -> Iterator[str]:
    """Yield what is odd about the files and programs that sinks need."""
    secrets = config.secret_files()
    certificates = {
        "sinks.syslog_ca_file": config.sinks.syslog_ca_file,
        "webhook.ca_file": config.webhook.ca_file,
        "mqtt.ca_file": config.mqtt.ca_file,
    }
    for key, path in (secrets | certificates).items():
        if path and not os.access(path, os.R_OK):
            yield f"{printable(path, 300)}: not there, or no permission to read it ({key})"
    for key, path in secrets.items():
        if told_to_others(path):
            yield f"{printable(path, 300)}: holds a secret, and others may read it ({key})"
    if config.webhook.token_file and config.webhook.url.startswith("http://"):
        yield "webhook.token_file: its token goes over http:// unencrypted"
    if config.mail.to and not os.access(config.mail.command, os.X_OK):
        yield f"{printable(config.mail.command, 300)}: no such program (mail.command)"


def _excluded(path: str, patterns: tuple[str, ...]) -> bool:
    name = os.path.basename(path)
    return any(
        fnmatch.fnmatchcase(path, each) or fnmatch.fnmatchcase(name, each) for each in patterns
    )
