"""ADFA-U: system calls of a Linux server, attacks of a kind that was never trained on (§4.2).

Holds: the reader of ADFA-LD's archive as published, and FlexLog's six configurations. In each,
four fifths of the normal traces and five kinds of attacks are for training; the other normal
traces and all of the sixth kind are the test (Table 2: 1,041 normal traces and 75 to 176 attacks).

Guarantees: nothing is written to disk; every member read is bounded. The names of system calls are
those of 32-bit x86, which the traces are of. The list in the archive, which the paper looks
descriptions up in, is that of another architecture and is not read.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from logagent_build.sequences.data import Events, Sequences
from logagent_build.sequences.llm.retrieval import i386_names

__all__ = ["ATTACKS", "Configuration", "configurations", "read"]

ATTACKS = {
    "adduser": "Adduser",
    "hydraFTP": "Hydra_FTP",
    "hydraSSH": "Hydra_SSH",
    "java": "Java_Meterpreter",
    "meter": "Meterpreter",
    "web": "Web_Shell",
}
"""The paper's names of the kinds, and the folders' names without their number."""

TEST_NORMAL = 1041  # of 5,205: what Table 2's sizes of tests leave without the attacks
MOST_BYTES = 1024 * 1024  # [bytes] of one member: the longest trace has 4,494 calls in 18 kB
MOST_MEMBERS = 20_000  # the archive has 6,016
HIGHEST_CALL = 4096  # numbers are below 400; what is above is no system call

_TRACE = re.compile(r"(Attack|Training|Validation)_Data_Master/(?:(\w+)_\d+/)?[^/]+\.txt$")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One attack left out, one seed."""

    name: str
    """Kind of attack that only the test has."""
    seed: int
    train: Sequences
    test: Sequences


def read(path: Path) -> Sequences:
    """Read ADFA-LD.zip: 5,951 traces, events numbered in the order of the system calls' numbers.

    Raises:
        OSError: the archive cannot be read.
        ValueError: it is no ADFA-LD.
    """
    folders = {folder: name for name, folder in ATTACKS.items()}
    traces: list[Events] = []
    kinds: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise ValueError(f"{path}: more than {MOST_MEMBERS:,} files, not ADFA-LD")
            for member in sorted(members, key=lambda each: each.filename):
                match = _TRACE.search(member.filename)
                if not match:
                    continue
                part, folder = match.groups()
                kind = "normal" if part != "Attack" else folders.get(folder or "")
                if kind is None:
                    raise ValueError(f"{path}: unknown attack {member.filename}")
                calls = np.array(_text(archive, member).split(), dtype=np.int64)
                if len(calls) == 0 or calls.min() < 0 or calls.max() > HIGHEST_CALL:
                    raise ValueError(f"{path}: {member.filename} holds no system calls")
                traces.append(calls.astype(np.int32))
                kinds.append(kind)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: {error}") from None
    if not traces:
        raise ValueError(f"{path}: no traces, not ADFA-LD")
    called = np.unique(np.concatenate(traces))
    names = i386_names()
    numbered = [np.searchsorted(called, trace).astype(np.int32) for trace in traces]
    return Sequences(
        "ADFA-LD",
        numbered,
        np.array([kind != "normal" for kind in kinds]),
        tuple(kinds),
        tuple(names.get(int(call), f"call {call}") for call in called),
    )


def configurations(data: Sequences, seed: int) -> list[Configuration]:
    """Split into the six configurations of §4.2.2; the seed chooses the normal traces of the test.

    Raises:
        ValueError: a kind of attack is missing.
    """
    kinds = np.array(data.kinds)
    if missing := [name for name in ATTACKS if name not in data.kinds]:
        raise ValueError(f"{data.name}: no traces of {', '.join(missing)}")
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(kinds == "normal"))
    few = round(len(normal) * TEST_NORMAL / 5205)
    made = []
    for name in ATTACKS:
        others = np.flatnonzero((kinds != "normal") & (kinds != name))
        train = np.sort(np.concatenate([normal[few:], others]))
        test = np.sort(np.concatenate([normal[:few], np.flatnonzero(kinds == name)]))
        made.append(Configuration(name, seed, data.only(train), data.only(test)))
    return made


def _text(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    with archive.open(member) as file:
        held = file.read(MOST_BYTES + 1)
    if len(held) > MOST_BYTES:
        raise ValueError(f"{member.filename}: larger than {MOST_BYTES:,} bytes")
    return held.decode("ascii", "replace")
