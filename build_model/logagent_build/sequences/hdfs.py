"""SynHDFS-U: sessions of HDFS blocks, with more and more changes in what is tested (§4.2.2).

Holds: the reader of the public files there are, and the configurations. The paper draws its test,
50,000 normal and 1,000 anomalous sessions, from the full data set of 575,061; here are

* ``hdfs_train``: 4,854 normal sessions of event numbers (LogDeep's selection);
* ``hdfs_test_abnormal.gz``: 16,837 anomalous ones, nearly all that HDFS has;
* ``hdfs_lines_2pct.tsv.gz``: 11,151 normal and 350 anomalous sessions as raw lines, of which the
  normal ones are used (the anomalous ones are among those above);
* ``HDFS_templates_ait.csv``: 29 templates; a template's line number is its event number. Read so,
  9,987 of the normal sessions in raw lines equal one of ``hdfs_train``, and none equals an
  anomalous one.

So a test has 5,000 normal and 100 anomalous sessions (2 %, as the paper's), and training the other
normal sessions with anomalous ones in HDFS's proportion of 2.9 %. Sessions are cut at 30 events.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from logagent_build.sequences.data import Events, Sequences

__all__ = ["RATIOS", "Configuration", "configuration", "read"]

RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3)  # of test sequences changed: Table 2, and none
TEST_NORMAL, TEST_ANOMALOUS = 5000, 100
TRAIN_SHARE = 16_838 / 575_061  # anomalous sessions of HDFS
LONGEST = 30  # [events] of a session (§4.3.1)
MOST_BYTES = 256 * 1024 * 1024  # [bytes] of one file, unpacked: the raw lines have 37 MB
HIGHEST = 64  # event numbers; HDFS has 29


@dataclass(frozen=True, slots=True)
class Configuration:
    """One seed: what is trained on, and the stable test into which changes are injected."""

    seed: int
    train: Sequences
    test: Sequences


def read(folder: Path) -> Sequences:
    """Read the sessions of HDFS from a folder with the files above.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is malformed.
    """
    templates = _text(folder / "HDFS_templates_ait.csv").split("\n")
    vocabulary = ("", *(line.strip() for line in templates if line.strip()))
    normal = _numbers(folder / "hdfs_train", len(vocabulary))
    normal += _sessions(folder / "hdfs_lines_2pct.tsv.gz", vocabulary)
    anomalous = _numbers(folder / "hdfs_test_abnormal.gz", len(vocabulary))
    labels = np.zeros(len(normal) + len(anomalous), dtype=np.bool_)
    labels[len(normal) :] = True
    kinds = ("normal",) * len(normal) + ("failure",) * len(anomalous)
    return Sequences("HDFS", normal + anomalous, labels, kinds, vocabulary)


def configuration(data: Sequences, seed: int) -> Configuration:
    """Draw test and training sessions.

    Raises:
        ValueError: there are too few sessions.
    """
    random = np.random.default_rng(seed)
    normal = random.permutation(np.flatnonzero(~data.anomalous))
    failed = random.permutation(np.flatnonzero(data.anomalous))
    scale = min(1.0, len(normal) / (3 * TEST_NORMAL), len(failed) / (4 * TEST_ANOMALOUS))
    few, rare = int(TEST_NORMAL * scale), int(TEST_ANOMALOUS * scale)
    more = round((len(normal) - few) * TRAIN_SHARE / (1 - TRAIN_SHARE))
    if rare < 1 or len(failed) < rare + more or more < 1:
        raise ValueError(f"{data.name}: too few sessions")
    test = np.sort(np.concatenate([normal[:few], failed[:rare]]))
    train = np.sort(np.concatenate([normal[few:], failed[rare : rare + more]]))
    return Configuration(seed, data.only(train), data.only(test))


def _numbers(path: Path, numbers: int) -> list[Events]:
    held = []
    for at, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            events = np.array(line.split()[:LONGEST], dtype=np.int64)
        except ValueError:
            raise ValueError(f"{path}: line {at} holds no event numbers") from None
        if events.min() < 0 or events.max() >= min(numbers, HIGHEST):
            raise ValueError(f"{path}: line {at} has an event without a template")
        held.append(events.astype(np.int32))
    return held


def _sessions(path: Path, vocabulary: tuple[str, ...]) -> list[Events]:
    patterns = [
        re.compile(".*".join(re.escape(piece) for piece in template.split("<*>")) + "$")
        for template in vocabulary[1:]
    ]
    sessions: dict[str, list[int]] = {}
    for at, line in enumerate(_text(path).split("\n"), 1):
        if not line:
            continue
        columns = line.split("\t")
        if len(columns) != 6:
            raise ValueError(f"{path}: line {at} has {len(columns)} columns, not 6")
        label, block, _, _, _, message = columns
        if label != "0":
            continue
        number = next((n for n, each in enumerate(patterns, 1) if each.match(message)), 0)
        sessions.setdefault(block, []).append(number)  # 0: no template, one of its own
    return [np.array(events[:LONGEST], dtype=np.int32) for events in sessions.values()]


def _text(path: Path) -> str:
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # noqa: SIM115
    with opened as file:
        try:
            held = file.read(MOST_BYTES + 1)
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: {error}") from None
    if len(held) > MOST_BYTES:
        raise ValueError(f"{path}: larger than {MOST_BYTES:,} bytes")
    return held.decode("utf-8", "replace")
