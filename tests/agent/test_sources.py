"""Sources: every file once, from whatever it was packed in; trouble is told, never raised."""

import bz2
import gzip
import importlib.util
import io
import lzma
import os
import socket
import subprocess
import sys
import tarfile
import threading
import tracemalloc
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent import archives, paths, sources
from logagent.sources import Limits, Source, SourceProblem, expand, open_all, open_source

TEXT = b"".join(
    b"Jun 14 15:16:%02d host app[%d]: message %d\n" % (n % 60, n, n) for n in range(9000)
)
PACKERS = pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"]
)
Pack = Callable[[bytes], bytes]


def scan(*paths: Path | str, limits: Limits | None = None) -> tuple[bytes, list[SourceProblem]]:
    """Read all lines of all sources, as the scan does, and what went wrong."""
    problems: list[SourceProblem] = []
    lines = [
        line
        for source in open_all([str(path) for path in paths], limits, problems.append)
        for block in source.blocks()
        for line in block.lines()
    ]
    return b"".join(line + b"\n" for line in lines), problems


def kinds(problems: list[SourceProblem]) -> list[str]:
    """Give the short words of the problems."""
    return [problem.kind for problem in problems]


def written(path: Path, data: bytes) -> Path:
    """Write a file."""
    path.write_bytes(data)
    return path


def opened(path: Path) -> Source:
    """Open a file that can be opened."""
    source = open_source(str(path))
    assert isinstance(source, Source)
    return source


# --- what is read from one file


def test_a_text_file_is_read_as_it_is(tmp_path: Path) -> None:
    """Plain text takes no detour."""
    source = opened(written(tmp_path / "log", TEXT))

    assert TEXT == b"".join(iter(lambda: source.read(1000), b""))
    assert (len(TEXT), len(TEXT), False, []) == (
        source.size_bytes,
        source.position_bytes(),
        source.compressed,
        source.problems,
    )
    source.close()
    source.close()
    assert b"" == source.read(10)


def test_an_empty_file_has_no_lines_and_no_problem(tmp_path: Path) -> None:
    """Nothing is nothing."""
    assert (b"", []) == scan(written(tmp_path / "log", b""))


@PACKERS
def test_an_archive_is_known_by_its_content_not_its_name(tmp_path: Path, pack: Pack) -> None:
    """A rotated log may have any name."""
    path = written(tmp_path / "messages.1", pack(TEXT))
    source = opened(path)

    assert TEXT == b"".join(iter(lambda: source.read(5000), b""))
    assert source.compressed
    assert path.stat().st_size == source.position_bytes() == source.size_bytes
    source.close()


@PACKERS
def test_members_one_after_the_other_and_zeros_after_them_are_one_log(
    tmp_path: Path, pack: Pack
) -> None:
    """Archives are appended to, and padded on tapes and flash."""
    packed = pack(TEXT) + pack(b"second\n") + b"\0" * 512 + pack(b"third\n") + b"\0" * 40_000

    assert (TEXT + b"second\nthird\n", []) == scan(written(tmp_path / "log", packed))


@PACKERS
def test_a_truncated_archive_gives_what_is_there_and_says_so(tmp_path: Path, pack: Pack) -> None:
    """Half an archive is half a log and an event."""
    packed = pack(TEXT) + pack(os.urandom(2000).hex().encode() + b"\n")
    read, problems = scan(written(tmp_path / "log", packed[:-20]))

    assert read.startswith(TEXT)
    assert ["truncated-archive"] == kinds(problems)
    assert problems[0].partial
    assert "truncated archive after" in problems[0].message


def test_a_gzip_with_a_wrong_checksum_gives_every_byte(tmp_path: Path) -> None:
    """The decoder would keep back the last call's output; nothing readable is lost."""
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 0xFF

    read, problems = scan(written(tmp_path / "log", bytes(packed)))

    assert (TEXT, ["damaged-archive"]) == (read, kinds(problems))
    assert f"after {len(TEXT)} bytes" in problems[0].message


@PACKERS
def test_a_damaged_archive_gives_what_comes_before_the_damage(tmp_path: Path, pack: Pack) -> None:
    """Damage in the second member leaves the first whole."""
    packed = pack(TEXT) + pack(TEXT)[:100] + b"\xff" * 3000
    read, problems = scan(written(tmp_path / "log", packed))

    assert read.startswith(TEXT)
    assert ["damaged-archive"] == kinds(problems)


@PACKERS
def test_what_follows_an_archive_and_is_none_is_told_and_left(tmp_path: Path, pack: Pack) -> None:
    """Something appended by mistake does not spoil the log."""
    read, problems = scan(written(tmp_path / "log", pack(TEXT) + b"not an archive" * 9))

    assert (TEXT, ["trailing-data"]) == (read, kinds(problems))


@PACKERS
def test_a_bomb_is_stopped_in_bounded_memory(tmp_path: Path, pack: Pack) -> None:
    """An archive that expands without measure ends at the limit, with the option that lifts it."""
    path = written(tmp_path / "bomb", pack(b"\n" * 30_000_000))
    limits = Limits(free_bytes=1_000_000, max_ratio=20)
    problems: list[SourceProblem] = []
    tracemalloc.start()
    try:
        for source in open_all([str(path)], limits, problems.append):
            total = sum(block.line_count for block in source.blocks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert ["expansion-limit"] == kinds(problems)
    assert "--max-expand" in problems[0].message
    assert 1_000_000 < total < 1_500_000
    assert peak < 12_000_000  # xz has a window of 8 MiB


@PACKERS
def test_output_may_be_limited_to_the_byte(tmp_path: Path, pack: Pack) -> None:
    """The absolute limit is exact, whatever the ratio."""
    path = written(tmp_path / "log", pack(TEXT))
    read, problems = scan(path, limits=Limits(max_output_bytes=100))

    assert (TEXT[:100], ["expansion-limit"]) == (read[:-1], kinds(problems))
    assert (TEXT, []) == scan(path, limits=Limits(max_output_bytes=len(TEXT)))


def test_an_xz_archive_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    """A dictionary of 100 MiB is not allocated because a log asks for it."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 100 << 20, "mode": lzma.MODE_FAST,
                "mf": lzma.MF_HC3, "nice_len": 8}]  # fmt: skip
    packed = lzma.compress(b"a line\n", filters=filters)
    read, problems = scan(written(tmp_path / "log", packed))

    assert (b"", ["unsupported"]) == (read, kinds(problems))
    assert "80 MiB" in problems[0].message


@pytest.mark.skipif(
    importlib.util.find_spec("compression") is not None, reason="this Python reads zstd"
)
def test_zstd_on_an_older_python_names_the_way_round(tmp_path: Path) -> None:
    """The message is a command that works."""
    _, problems = scan(written(tmp_path / "log.zst", b"\x28\xb5\x2f\xfd\x04\x00rest"))

    assert ["unsupported"] == kinds(problems)
    assert "`zstd -dc FILE | logagent scan -`" in problems[0].message


def test_zstd_is_read_where_the_interpreter_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is found by its name, at start."""
    module = types.ModuleType("compression.zstd")
    module.ZstdDecompressor = bz2.BZ2Decompressor  # type: ignore[attr-defined]  # a stand-in
    module.ZstdError = RuntimeError  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "compression.zstd", module)

    assert ["gzip", "bzip2", "xz", "zstd"] == [codec.name for codec in archives._codecs()]


@PACKERS
def test_a_tar_archive_is_skipped_inside_or_outside_of_another(tmp_path: Path, pack: Pack) -> None:
    """Headers and padding would be read as lines."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(written(tmp_path / "log", TEXT), "log")
    plain = written(tmp_path / "a.tar", tar.getvalue())
    packed = written(tmp_path / "b.tgz", pack(tar.getvalue()))

    read, problems = scan(plain, packed)
    forced, _ = scan(packed, limits=Limits(binary=True))

    assert (b"", ["tar", "tar"]) == (read, kinds(problems))
    assert TEXT in forced


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\x7fELF" + b"text" * 50, "program"),
        (b"\x89PNG\r\n\x1a\n" + b"text" * 50, "image"),
        (b"\xff\xd8\xff\xe0" + b"text" * 50, "image"),
        (b"PK\x03\x04" + b"text" * 50, "unzip"),
        (b"SQLite format 3\0" + b"text" * 50, "database"),
        (b"LPKSHHRH" + b"text" * 50, "journalctl"),
        (b"\x07\0\0\0tty1" + b"\0" * 300, "--binary"),
        (b"\xff\xfe\0\0h\0\0\0i\0\0\0", "--binary"),
    ],
)
def test_a_binary_file_is_skipped_unless_forced(tmp_path: Path, head: bytes, word: str) -> None:
    """The event says what it is and what to do."""
    path = written(tmp_path / "file", head)
    read, problems = scan(path)

    assert (b"", ["binary"]) == (read, kinds(problems))
    assert word in problems[0].message
    assert [] == scan(path, limits=Limits(binary=True))[1]


def test_a_text_file_with_a_few_nul_bytes_is_read(tmp_path: Path) -> None:
    """A crash leaves zeros in a log; the log is still text."""
    data = b"before\n" * 100 + b"\0" * 20 + b"\nafter\n"

    assert (data, []) == scan(written(tmp_path / "log", data))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_as_utf_8(tmp_path: Path, encoding: str) -> None:
    """Windows writes its logs like this; also inside an archive."""
    text = "\ufeff" + "Fehler: Gerät 日本 😀\n" * 6000
    raw = text.encode(encoding)
    expected = text[1:].encode()

    assert (expected, []) == scan(written(tmp_path / "log", raw))
    assert (expected, []) == scan(written(tmp_path / "log.gz", gzip.compress(raw)))


def test_broken_utf_16_is_read_with_replacements(tmp_path: Path) -> None:
    """Half a pair, and half a unit at the end, become U+FFFD."""
    raw = b"\xff\xfe" + b"a\0" + b"\x00\xd8" + b"b\0" + b"\n\0" + b"c"

    assert ("a\ufffdb\n\ufffd\n".encode(), []) == scan(written(tmp_path / "log", raw))


def test_cut_lines_are_counted_and_reported_once(tmp_path: Path) -> None:
    """An over-long line is an event, not a silence."""
    path = written(tmp_path / "log", b"short\n" + b"x" * 500 + b"\n" + b"y" * 300 + b"\n")
    problems: list[SourceProblem] = []
    for source in open_all([str(path)], Limits(max_line_bytes=100), problems.append):
        assert [b"short", b"x" * 100, b"y" * 100] == [
            line for block in source.blocks() for line in block.lines()
        ]
        assert 2 == source.cut_lines

    assert ["long-lines"] == kinds(problems)
    assert "600 bytes" in problems[0].message


@given(st.binary(max_size=400), st.sampled_from([b"", *sources._SIGNATURES]))
def test_no_content_makes_a_source_raise(data: bytes, magic: bytes) -> None:
    """Whatever the bytes, they are read or told of, to the end."""
    receiving, sending = os.pipe()
    os.write(sending, magic + data)
    os.close(sending)
    problems: list[SourceProblem] = []
    source = Source("pipe", receiving, Limits(), problems.append)
    for _ in source.blocks():
        pass
    source.close()

    assert problems == source.problems


# --- files that change or fail


def test_a_file_that_shrinks_is_told(tmp_path: Path) -> None:
    """What was cut away before it was read cannot be shown."""
    path = written(tmp_path / "log", TEXT)
    source = opened(path)
    source.read(10_000)
    os.truncate(path, 100)
    while source.read(10_000):
        pass
    source.close()

    assert ["shrunk"] == kinds(source.problems)


def test_a_file_of_proc_which_has_no_size_is_read_without_complaint() -> None:
    """Past the size that was promised is not past the end."""
    read, problems = scan("/proc/self/status")

    assert b"Name:" in read
    assert [] == problems


def test_a_file_that_grows_is_read_to_where_its_end_is_met(tmp_path: Path) -> None:
    """The end is where it is when the reader gets there."""
    path = written(tmp_path / "log", TEXT)
    source = opened(path)
    first = source.read(100)
    with path.open("ab") as log:
        log.write(b"more\n")
    rest = b"".join(iter(lambda: source.read(100_000), b""))
    source.close()

    assert TEXT + b"more\n" == first + rest


def test_a_file_that_vanishes_before_it_is_opened_is_told(tmp_path: Path) -> None:
    """Between the listing and the opening a log may be rotated away."""
    written(tmp_path / "a", b"one\n")
    gone = written(tmp_path / "b", b"two\n")
    written(tmp_path / "c", b"three\n")
    read = b""
    problems: list[SourceProblem] = []
    for source in open_all([str(tmp_path)], None, problems.append):
        gone.unlink(missing_ok=True)
        read += source.read(100)

    assert b"one\nthree\n" == read
    assert [SourceProblem(str(gone), "vanished", "No such file or directory", True)] == problems


def test_an_error_while_reading_ends_the_source_and_not_the_scan(tmp_path: Path) -> None:
    """/proc/self/mem can be opened, and its first page cannot be read: a true EIO."""
    good = written(tmp_path / "log", b"fine\n")
    read, problems = scan("/proc/self/mem", good)

    assert (b"fine\n", ["unreadable"]) == (read, kinds(problems))
    assert "Input/output error after 0 bytes" == problems[0].message


@pytest.mark.parametrize("name", ["missing", "file/below", "loop", "socket", "nul\0", "x" * 300])
def test_what_cannot_be_opened_is_told_and_the_rest_is_read(tmp_path: Path, name: str) -> None:
    """ENOENT, ENOTDIR, ELOOP, a socket, a NUL byte, ENAMETOOLONG."""
    good = written(tmp_path / "file", b"fine\n")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        read, problems = scan(f"{tmp_path}/{name}", good)

    assert b"fine\n" == read
    assert [("not-found" if name == "missing" else "unreadable", True)] == [
        (problem.kind, problem.partial) for problem in problems
    ]


def test_open_source_itself_gives_a_problem_for_a_folder_or_a_missing_file(tmp_path: Path) -> None:
    """It does not raise even when nothing looked at the path before."""
    for path in [tmp_path, tmp_path / "missing"]:
        assert isinstance(open_source(str(path)), SourceProblem)


def test_a_file_one_may_not_read_is_told(tmp_path: Path) -> None:
    """As another user, so that permissions count for root's tests too."""
    path = written(tmp_path / "secret", b"x\n")
    path.chmod(0)
    code = (
        "import os, sys; from logagent.sources import open_source\n"
        "os.chdir(sys.argv[1])\n"
        "os.getuid() or os.setuid(65534)\n"
        "print(open_source('secret').kind)"
    )
    tmp_path.chmod(0o755)
    agent = Path(sources.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(agent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "unreadable" == done.stdout.strip()


# --- pipes


def test_a_named_pipe_is_read_when_it_is_named_and_skipped_in_a_folder(tmp_path: Path) -> None:
    """A pipe in a folder would make the scan wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    written(tmp_path / "log", b"file\n")
    assert (b"file\n", []) == scan(tmp_path)

    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b"piped\n"),))
    writer.start()
    read, problems = scan(pipe)
    writer.join()

    assert (b"piped\n", []) == (read, problems)


def test_a_pipe_that_took_the_place_of_a_file_does_not_stop_the_scan(tmp_path: Path) -> None:
    """Whoever owns the folder cannot make the scan wait."""
    os.mkfifo(tmp_path / "pipe")
    problem = open_source(str(tmp_path / "pipe"), regular_only=True)

    assert isinstance(problem, SourceProblem)


def test_lines_of_a_pipe_come_before_the_pipe_ends() -> None:
    """Probing the first bytes does not wait for more of them than there are."""
    receiving, sending = os.pipe()
    os.write(sending, b"BZ")
    os.write(sending, b" is no magic\n")
    source = Source("pipe", receiving, Limits(), lambda _problem: None)
    first = next(source.blocks())
    os.close(sending)
    source.close()

    assert (b"BZ is no magic", None) == (first.data, source.size_bytes)


@pytest.mark.parametrize("stdin", [TEXT, gzip.compress(TEXT), TEXT.decode().encode("utf-16")])
def test_standard_input_is_read_like_a_file(stdin: bytes) -> None:
    """Packed or not."""
    code = (
        "import sys; from logagent.sources import open_all\n"
        "for source in open_all(['-', '-'], on_problem=sys.exit):\n"
        "    for block in source.blocks(): sys.stdout.buffer.write(block.data + b'\\n')"
    )
    agent = Path(sources.__file__).parents[1]
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(agent)}
    done = subprocess.run(command, input=stdin, env=environment, capture_output=True, check=True)

    assert TEXT == done.stdout


# --- which files


def test_a_folder_is_read_to_the_bottom_in_order(tmp_path: Path) -> None:
    """Sorted at every level, hidden files too, sockets left out."""
    for name in ["b", "a/z", "a/y/x", "c", ".hidden"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written(tmp_path / name, b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        found = list(expand([str(tmp_path)]))

    assert [f"{tmp_path}/{name}" for name in [".hidden", "a/y/x", "a/z", "b", "c"]] == found


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    """By any name: again, by its folder, a hard link, a symbolic link."""
    path = written(tmp_path / "log", b"x")
    (tmp_path / "hard").hardlink_to(path)
    (tmp_path / "soft").symlink_to(path)

    assert [str(path)] == list(expand([str(path), str(tmp_path), f"{tmp_path}/./log", str(path)]))


def test_links_to_files_are_followed_and_loops_of_folders_are_not(tmp_path: Path) -> None:
    """A link back up, or to the whole disk, adds nothing."""
    logs = tmp_path / "logs"
    (logs / "sub").mkdir(parents=True)
    target = written(tmp_path / "target", b"x")
    (logs / "link").symlink_to(target)
    (logs / "sub" / "up").symlink_to(logs)
    (logs / "sub" / "root").symlink_to("/")
    (logs / "zoop").symlink_to("zoop")
    found = list(expand([str(logs)]))

    assert [f"{logs}/link"] == found[:1]
    assert ["unreadable"] == kinds([p for p in found[1:] if isinstance(p, SourceProblem)])
    assert 2 == len(found)


def test_a_folder_named_by_a_link_is_walked(tmp_path: Path) -> None:
    """What the operator names is what is meant."""
    (tmp_path / "real").mkdir()
    written(tmp_path / "real" / "log", b"x")
    (tmp_path / "link").symlink_to("real")

    assert [f"{tmp_path}/link/log"] == list(expand([f"{tmp_path}/link"]))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log", "b.log"]),
        ("?.log*", ["a.log", "b.log", "b.log.1"]),
        ("[b-z].log", ["b.log"]),
        ("**/*.log", ["a.log", "b.log", "sub/c.log", "sub/deep/d.log"]),
        ("**/**/d.log", ["sub/deep/d.log"]),
        ("sub/**", ["sub/c.log", "sub/deep/d.log"]),
        ("*/*.log", ["sub/c.log"]),
        ("s*", ["sub/c.log", "sub/deep/d.log"]),
        (".*.log", [".e.log"]),
        ("[x].log", ["[x].log"]),
    ],
)
def test_patterns_match_as_in_a_shell(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    """A name that exists is a name, even with brackets in it."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "also").symlink_to(tmp_path)
    for name in ["a.log", "b.log", "b.log.1", "sub/c.log", "sub/deep/d.log", ".e.log", "[x].log"]:
        written(tmp_path / name, b"x")
    if pattern != "[x].log":
        (tmp_path / "[x].log").unlink()

    assert [f"{tmp_path}/{name}" for name in expected] == list(expand([f"{tmp_path}/{pattern}"]))


def test_a_pattern_without_a_match_is_told(tmp_path: Path) -> None:
    """Silence would look like a clean log."""
    found = list(expand([f"{tmp_path}/*.log"]))

    assert ["not-found"] == kinds([p for p in found if isinstance(p, SourceProblem)])


def test_relative_paths_and_patterns_stay_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are shown as they were given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub" / "a.log", b"x")

    assert ["sub/a.log"] == list(expand(["**/*.log"])) == list(expand(["sub"]))
    assert ["./sub/a.log"] == list(expand(["."]))


@pytest.mark.slow
def test_very_deep_folders_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    """A tree deeper than Python's recursion limit is walked, as deep as paths may be long."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1050):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("log", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)

    try:
        assert 1 == len(list(expand([str(tmp_path)]))) == len(list(expand([f"{tmp_path}/**/log"])))
    finally:  # shutil and pytest would recurse
        subprocess.run(["rm", "-rf", f"{tmp_path}/d"], check=True)


def test_the_memory_of_files_seen_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the capacity the oldest is forgotten: read twice rather than remembered for ever."""
    monkeypatch.setattr(paths, "MAX_SEEN_FILES", 2)
    names = [str(written(tmp_path / name, b"x")) for name in "abc"]

    assert [*names, names[0]] == list(expand([*names, names[2], names[0]]))
