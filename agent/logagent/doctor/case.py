"""What all checks of one examination share.

Guarantees: what takes long is found out once, and only if a check asks for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from logagent.config import Config
from logagent.doctor.access import Access
from logagent.doctor.machine import Machine
from logagent.doctor.units import Unit, installed_unit
from logagent.errors import ConfigError
from logagent.inputs.listing import Listing, excluding, list_files
from logagent.model_store import InForce, in_force
from logagent.paths import STDIN

__all__ = ["MAX_FILES", "Case"]

MAX_FILES = 50_000
"""Files that are listed at most, as many as the agent follows."""


@dataclass
class Case:
    """A machine and what it is to be used for."""

    machine: Machine
    config: Config | None
    """None: it cannot be used, see `config_error`."""
    config_error: ConfigError | None = None
    network: bool = False
    """Whether names may be looked up and addresses connected to."""

    @property
    def chosen(self) -> Config:
        """The configuration, of which a check is only asked where there is one."""
        if self.config is None:
            raise ConfigError("the configuration cannot be used")
        return self.config

    @cached_property
    def access(self) -> Access:
        """What the account may."""
        return Access(self.machine)

    @cached_property
    def unit(self) -> Unit | None:
        """The systemd unit, if it is installed."""
        return installed_unit(self.machine)

    @property
    def state_folder(self) -> str:
        """The state folder, on the machine.

        Where nobody named one, that of the unit, if the unit's user is who the agent would run as,
        or that below the home of another user.
        """
        state, account = self.chosen.state, self.machine.account
        given = self.machine.environ.get("STATE_DIRECTORY")
        if account.unit and not (state.dir or given):
            words = [] if self.unit is None else self.unit.values.get("StateDirectory", "").split()
            return f"/var/lib/{words[0] if words else 'logagent'}"
        if account.home and not (account.own or account.all_powerful or state.dir or given):
            return os.path.join(account.home, ".local/state/logagent")
        return os.path.abspath(state.folder())

    @cached_property
    def bundle(self) -> InForce:
        """The bundle that would be used, as `logagent run` chooses it.

        Raises:
            BundleError: the state folder may not be looked into.
        """
        config = self.chosen
        state = replace(config.state, dir=self.machine.at(self.state_folder))
        return in_force(replace(config, state=state))

    @cached_property
    def paths(self) -> list[str]:
        """The watched paths and patterns but standard input, absolute, on the machine."""
        return [os.path.abspath(path) for path in self.chosen.watch.paths if path != STDIN]

    @cached_property
    def left_out(self) -> Callable[[str], bool]:
        """What tells whether a file, on the machine, is excluded or the agent's own."""
        config = self.chosen
        own = [self.state_folder]
        if config.sinks.jsonl:
            own.append(os.path.abspath(config.sinks.jsonl))
        return excluding(config.watch.exclude, own)

    @cached_property
    def listing(self) -> Listing:
        """The files that would be followed, by the listing that `logagent run` uses."""
        machine = self.machine
        return list_files(
            [machine.at(path) for path in self.paths],
            lambda place: self.left_out(machine.name(place)),
            lambda *_: None,
            MAX_FILES,
        )

    @cached_property
    def lock_holder(self) -> int | None:
        """Process id of the agent that uses the state folder; 0 if it is hidden; None: none.

        From the kernel's list of locks: trying the lock would keep an agent from starting.
        """
        try:
            status = os.stat(self.machine.at(f"{self.state_folder}/lock"))
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        for line in (self.machine.text("/proc/locks") or "").splitlines():
            words = line.split()
            if len(words) < 6 or words[1] != "FLOCK" or not words[4].lstrip("-").isdigit():
                continue
            where, _, inode = words[5].rpartition(":")
            # On btrfs and overlays the kernel's list has another device than stat tells.
            same = where == device or "logagent" in self.command_of(int(words[4]))
            if inode == str(status.st_ino) and same:
                return max(int(words[4]), 0)
        return None

    def command_of(self, pid: int) -> str:
        """Return a process's command line; empty if it is not to be seen."""
        return (self.machine.text(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()
