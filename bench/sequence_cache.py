"""What a cache of sequences saves, and what it takes (FlexLog §3.2, §5.3.2, §5.4.1).

    python bench/sequence_cache.py [--data FOLDER] [--seeds N]

The six configurations of ADFA-U (§4.2.2): a fifth of ADFA-LD's normal traces and all attacks of one
kind are the test, in an order drawn by the seed. A test trace that equals an earlier one is a hit.
Counted with the test as the paper has it (traces of the training set left out) and as it comes.
Memory is that of the cache after the whole test, unbounded as in the paper: ours, whose keys are
hashes, by its own count and as the allocator sees it, beside a dictionary of tuples of event
numbers, the paper's form. No voter is asked.

Beside it `vote`'s own cache, the store of replies on disk: what it takes of one test, and how long
all votes take once they are in it. The replies are a simulation's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
from logagent_build.annotate.recorded import Recorded, Store
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.cache import SequenceCache
from logagent_build.sequences.llm.retrieval import i386_names, system_calls
from logagent_build.sequences.llm.sequence_keys import Keys, keys
from logagent_build.sequences.llm.simulated import SequenceErrors, SimulatedSequences
from logagent_build.sequences.llm.voter import LLMVoter, Options
from measure import ROOT, BenchError, main, print_table, write_result

DATA = ROOT.parent / "shared" / "data" / "sequences"
ATTACKS = {
    "Adduser": "adduser",
    "Hydra_FTP": "hydraFTP",
    "Hydra_SSH": "hydraSSH",
    "Java_Meterpreter": "java",
    "Meterpreter": "meter",
    "Web_Shell": "web",
}
TEST_NORMAL = 1041  # of 5,205 (Table 2)
CAPACITIES = (50, 100, 200, 400)


def adfa(folder: Path) -> Sequences:
    """Read ADFA-LD: 5,951 traces of system calls, by their names on 32-bit x86."""
    names = i386_names()
    numbers = {call: at for at, call in enumerate(sorted(names))}
    events, kinds = [], []
    try:
        archive = zipfile.ZipFile(folder / "ADFA-LD.zip")
    except OSError as error:
        raise BenchError(f"{error}; give the folder with --data") from None
    with archive:
        for member in sorted(archive.namelist()):
            parts = member.split("/")
            if len(parts) < 3 or not member.endswith(".txt"):
                continue
            calls = [numbers[int(call)] for call in archive.read(member).split()]
            events.append(np.array(calls, dtype=np.int32))
            attack = parts[1].startswith("Attack")
            kinds.append(ATTACKS[parts[2].rsplit("_", 1)[0]] if attack else "normal")
    anomalous = np.array([kind != "normal" for kind in kinds])
    return Sequences(
        "ADFA-LD", events, anomalous, tuple(kinds), tuple(names[call] for call in sorted(names))
    )


def split(data: Sequences, kind: str, seed: int) -> tuple[Sequences, Sequences]:
    """Return the training set, and the test in a drawn order."""
    source = np.random.default_rng(seed)
    kinds = np.array(data.kinds)
    normal = source.permutation(np.flatnonzero(kinds == "normal"))
    rest = np.flatnonzero((kinds != "normal") & (kinds != kind))
    test = source.permutation(np.concatenate([normal[:TEST_NORMAL], np.flatnonzero(kinds == kind)]))
    return data.only(np.concatenate([normal[TEST_NORMAL:], rest])), data.only(test)


def share_of_hits(test: list[bytes], capacity: int) -> float:
    """Return which share of the queries finds an entry."""
    cache = SequenceCache(capacity)
    for key in test:
        if cache.query(key) is None:
            cache.add(key, label=False)
    return cache.hits / len(test)


def memory(test: Sequences) -> tuple[int, int, int, int]:
    """Return entries; bytes of our cache by its own count; allocated; of the paper's form."""
    make = Keys(test.vocabulary)
    tracemalloc.start()
    cache = SequenceCache(len(test))
    for events in test.events:
        cache.add(make.of(events), label=False)
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    tuples = {tuple(events.tolist()): False for events in test.events}
    plain = sys.getsizeof(tuples) + sum(map(sys.getsizeof, tuples))
    return len(cache), cache.memory_bytes(), allocated, plain


def stored(test: Sequences) -> dict[str, float]:
    """Return what the store of replies takes after votes on a test, and how fast it gives them."""
    options = Options(shots=0)
    nobody = SimulatedSequences((), (), SequenceErrors())
    texts = LLMVoter(nobody, options).texts(test)
    simulated = SimulatedSequences(texts, test.anomalous.tolist(), SequenceErrors())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replies.sqlite"
        with Store(path) as store:
            voter = LLMVoter(Recorded(store, simulated), options, system_calls())
            voter.votes(test)
            began = time.perf_counter()
            voter.votes(test)
            seconds = time.perf_counter() - began
        replies = voter.counts["answered before"]
        return {"replies": replies, "bytes": path.stat().st_size, "seconds_of_all_again": seconds}


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with ADFA-LD.zip")
    parser.add_argument("--seeds", type=int, default=5, help="draws of each configuration")
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    options = parser.parse_args()
    data = adfa(options.data)
    rows: list[dict[str, object]] = []
    bounded: list[list[float]] = []
    for kind in ATTACKS.values():
        draws = []
        for seed in range(options.seeds):
            train, test = split(data, kind, seed)
            known = set(keys(train))
            order = keys(test)
            fresh = test.only([at for at, key in enumerate(order) if key not in known])
            unseen = [key for key in order if key not in known]
            entries, own, allocated, plain = memory(fresh)
            draws.append(
                [len(order), share_of_hits(order, len(order)), len(unseen),
                 share_of_hits(unseen, len(unseen)), entries, own, allocated, plain]
            )  # fmt: skip
            bounded.append([share_of_hits(unseen, capacity) for capacity in CAPACITIES])
        names = ("test", "hits", "unseen", "unseen_hits", "entries", "bytes", "allocated", "tuples")
        mean = dict(zip(names, np.mean(draws, axis=0).tolist(), strict=True))
        rows.append({"configuration": kind} | mean)
    began = time.process_time()
    hashed = keys(data)
    per_key = (time.process_time() - began) / len(hashed)
    print_table(
        ("ADFA-U", "test", "hits", "unseen", "hits among them", "entries", "cache", "allocated",
         "as tuples"),
        [
            (str(row["configuration"]), f"{row['test']:.0f}", f"{row['hits']:.1%}",
             f"{row['unseen']:.0f}", f"{row['unseen_hits']:.1%}", f"{row['entries']:.0f}",
             f"{row['bytes'] / 1024:.0f} KiB", f"{row['allocated'] / 1024:.0f} KiB",
             f"{row['tuples'] / 1024:.0f} KiB")
            for row in rows
        ],
    )  # fmt: skip
    train, test = split(data, "java", 0)
    known = set(keys(train))
    store = stored(test.only([at for at, key in enumerate(keys(test)) if key not in known]))
    by_capacity = dict(zip(map(str, CAPACITIES), np.mean(bounded, axis=0).tolist(), strict=True))
    print()
    print_table(
        ("entries at most", "hits among unseen traces"),
        [(str(capacity), f"{share:.1%}") for capacity, share in by_capacity.items()],
    )
    print(f"\n{per_key * 1e6:.0f} µs of processor time to make the key of a trace, on average")
    each = store["bytes"] / store["replies"]
    print(
        f"store of replies (java, simulated): {store['replies']:,} replies, "
        f"{store['bytes'] / 2**20:.1f} MiB on disk, {each / 1024:.1f} KiB each; all votes again in "
        f"{store['seconds_of_all_again']:.1f} s"
    )
    write_result(
        "sequence_cache",
        {
            "seeds": options.seeds,
            "configurations": rows,
            "unseen_hits_by_capacity": by_capacity,
            "key_seconds": per_key,
            "store_of_replies": store | {"simulation": True},
        },
        options.results,
    )


if __name__ == "__main__":
    main(run)
