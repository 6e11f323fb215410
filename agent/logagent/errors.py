"""The tree of exceptions, their exit codes, and the other exit codes of the commands.

    LogagentError
    ├── BundleError        3   the model bundle cannot be used
    ├── BackendError       5   the detector backend asked for cannot run here
    ├── OutputError        6   the results cannot be written
    ├── ConfigError        7   the configuration cannot be used
    └── StateError         8   the state folder cannot be used

Guarantees: the library raises, the entry point prints one line and exits with the code; nothing
is raised, logged and printed at once. Trouble with a watched log is no exception: it is counted,
reported and survived (`logagent.sources.SourceProblem`), and the command ends with
`EXIT_INPUT_PROBLEM`.
"""

from __future__ import annotations

__all__ = [
    "EXIT_ANOMALIES",
    "EXIT_INPUT_PROBLEM",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_UNWELL",
    "EXIT_USAGE",
    "BackendError",
    "BundleError",
    "ConfigError",
    "LogagentError",
    "OutputError",
    "StateError",
]

EXIT_OK = 0
EXIT_ANOMALIES = 1  # only with --exit-code, as grep and diff do
EXIT_USAGE = 2
EXIT_INPUT_PROBLEM = 4  # something could not be read, or not wholly; the rest was scanned
EXIT_UNWELL = 9  # `logagent doctor` found a problem
EXIT_INTERRUPTED = 130  # 128 + SIGINT, the shell's convention


class LogagentError(Exception):
    """Base of everything logagent raises on purpose."""

    exit_code = 70  # sysexits.h EX_SOFTWARE: a class below should have been raised


class BundleError(LogagentError):
    """The model bundle is missing, corrupt, too large or of another format."""

    exit_code = 3


class BackendError(LogagentError):
    """The detector backend asked for is not installed or refuses the model."""

    exit_code = 5


class OutputError(LogagentError):
    """The results cannot be written (disk full, no such folder)."""

    exit_code = 6


class ConfigError(LogagentError):
    """The configuration is missing, unreadable or wrong; the message has one line per problem.

    The lines hold printable characters only.
    """

    exit_code = 7


class StateError(LogagentError):
    """The state folder cannot be made, read or written, or another agent uses it."""

    exit_code = 8
