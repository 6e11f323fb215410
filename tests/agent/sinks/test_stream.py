"""Standard output whose reader hangs, dies or is slow: real pipes and pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import tty
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from logagent.sinks import Alert, SinkError
from logagent.sinks.stream import StreamSink

from .fakes import FullDisk, alert

WAIT = 0.01


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4 * 4096)
    yield reader, writer
    for each in (reader, writer):
        with suppress(OSError):
            os.close(each)


def sink_on(descriptor: int, human: bool = False) -> StreamSink:
    return StreamSink("stdout", descriptor, human, wait_seconds=WAIT)


def read_all(descriptor: int) -> bytes:
    data = b""
    with suppress(BlockingIOError):
        while piece := os.read(descriptor, 65536):
            data += piece
    return data


def fill(sink: StreamSink, alerts: Iterator[Alert]) -> tuple[list[Alert], Alert]:
    """Write until the reader would have to read; return what was taken and what was not."""
    taken = []
    for each in alerts:
        try:
            sink.write(each)
        except SinkError:
            return taken, each
        taken.append(each)
    raise AssertionError("the pipe never filled")


def test_a_record_is_one_line_at_once(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with closing(sink_on(writer)) as sink:
        sink.write(alert(1))

        assert alert(1).record + b"\n" == read_all(reader)


def test_people_get_the_text(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with closing(sink_on(writer, human=True)) as sink:
        sink.write(Alert("1", b"{}", "Gerät kaputt", 3))

        assert "Gerät kaputt\n" == read_all(reader).decode()


@pytest.mark.parametrize("reopened", [True, False])
def test_a_hung_reader_tears_no_line_and_gets_each_alert_once(
    pipe: tuple[int, int], reopened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor stays blocking: a write that should not be made would hang the test."""
    reader, writer = pipe
    if not reopened:  # as with another user's pipe

        def refuse(path: str, flags: int) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with closing(sink_on(writer)) as sink:
        monkeypatch.undo()
        # Three pieces each, in a pipe that takes four: the second is torn.
        taken, refused = fill(sink, (alert(n, size=9000) for n in range(100)))
        with pytest.raises(SinkError, match="does not read"):
            sink.write(refused)
        assert os.get_blocking(writer)

        data = read_all(reader)
        assert not data.endswith(b"\n"), "the case needs a torn line"
        sink.write(refused)
        sink.write(alert(200))
        data += read_all(reader)

    expected = [each.record for each in [*taken, refused, alert(200)]]
    assert expected == data.splitlines()


def test_a_torn_line_is_finished_before_another_alert(pipe: tuple[int, int]) -> None:
    """The spool may drop the alert that was torn, and give another."""
    reader, writer = pipe
    with closing(sink_on(writer)) as sink:
        taken, torn = fill(sink, (alert(n, size=9000) for n in range(100)))
        data = read_all(reader)
        sink.write(alert(200))
        sink.write(alert(201))
        data += read_all(reader)

    expected = [each.record for each in [*taken, torn, alert(200), alert(201)]]
    assert expected == data.splitlines()


def test_an_alert_of_which_nothing_went_is_not_written_for_another(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with closing(sink_on(writer)) as sink:
        taken, _ = fill(sink, (alert(n) for n in range(1000)))
        data = read_all(reader)
        sink.write(alert(2000))
        data += read_all(reader)

    assert [each.record for each in [*taken, alert(2000)]] == data.splitlines()


def test_close_finishes_a_torn_line(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with closing(sink_on(writer)) as sink:
        fill(sink, (alert(n, size=9000) for n in range(100)))
        data = read_all(reader)
    data += read_all(reader)

    assert data.endswith(b"}\n")


def test_a_closed_reader_is_named(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with closing(sink_on(writer)) as sink:
        os.close(reader)

        with pytest.raises(SinkError, match="stdout: the reader has closed its end"):
            sink.write(alert(1))


def test_a_closed_descriptor_is_a_sink_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with closing(sink_on(writer)) as sink, pytest.raises(SinkError, match="Bad file descriptor"):
        sink.write(alert(1))


def test_a_terminal_that_nobody_reads_does_not_block() -> None:
    """A terminal polls writable with one free byte, and a blocking write then waits for more."""
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        with closing(sink_on(slave)) as sink:
            taken, refused = fill(sink, (alert(n, size=9000) for n in range(10_000)))
            assert os.get_blocking(slave)

            os.set_blocking(master, False)
            data = b""
            while data.count(b"\n") <= len(taken):
                with suppress(SinkError):
                    sink.write(refused)
                data += read_all(master)
    finally:
        os.close(master)
        os.close(slave)

    assert [each.record for each in taken] == data.splitlines()[: len(taken)]
    assert refused.record == data.splitlines()[len(taken)]


def test_a_full_disk_under_the_output_tears_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file, closing(sink_on(file.fileno())) as sink:
        disk = FullDisk(monkeypatch, tmp_path, room=50)
        sink.write(alert(1))
        with pytest.raises(SinkError, match="No space left"):
            sink.write(alert(2))
        disk.room = 10_000
        sink.write(alert(2))
        sink.sync()

    assert [alert(1).record, alert(2).record] == path.read_bytes().splitlines()


def test_a_file_is_synced_only_after_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with (tmp_path / "out").open("wb") as file, closing(sink_on(file.fileno())) as sink:
        sink.sync()
        assert [] == synced
        sink.write(alert(1))
        sink.sync()
        sink.sync()
        assert [file.fileno()] == synced


def test_a_pipe_has_nothing_to_sync(pipe: tuple[int, int]) -> None:
    with closing(sink_on(pipe[1])) as sink:
        sink.write(alert(1))
        sink.sync()
