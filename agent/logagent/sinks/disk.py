"""What sinks and spools do to a disk: append all or nothing, make a folder's names durable.

Guarantees: `append_whole` leaves nothing torn behind unless it says so. Regular files only; their
writes take as long as the disk takes, which no flag can bound.
"""

from __future__ import annotations

import errno
import os

__all__ = ["TornError", "append_whole", "reason", "sync_folder"]


class TornError(OSError):
    """Part of the data was written and could not be taken back: the file's end needs repair."""


def append_whole(descriptor: int, data: bytes) -> None:
    """Append all of `data` to a regular file opened with O_APPEND, or none of it.

    Raises:
        OSError: it could not be written (disk full, over a limit); the file is as before.
        TornError: likewise, but part of it is still at the end of the file.
    """
    before = os.fstat(descriptor).st_size
    rest = data
    try:
        while rest:
            # After a short write the next one says why: disk full, quota, file size limit.
            written = os.write(descriptor, rest)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            rest = rest[written:]
    except OSError as error:
        try:
            if os.fstat(descriptor).st_size > before:
                os.ftruncate(descriptor, before)
        except OSError as second:
            raise TornError(second.errno, reason(error)) from error
        raise


def sync_folder(folder: str) -> None:
    """Make the names in `folder` survive a power cut, where the file system can.

    Raises:
        OSError: the folder cannot be opened, or the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS):  # some file systems cannot
            raise
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Return what went wrong, without the path: the message that quotes it names that."""
    return error.strerror or str(error) or type(error).__name__
