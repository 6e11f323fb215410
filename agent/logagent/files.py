"""Replace a file atomically: the only writer of files that must survive a power cut.

Guarantees: a reader sees the old content or the new one, never a mixture, and after `replace`
returned the new content survives a power cut (as far as the file system honours fsync). On an
error the old file is untouched and the temporary one is gone. Not promised: owner and mode of the
old file are not copied.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

__all__ = ["replace"]


def replace(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` to a temporary file beside `path`, sync it, rename it over, sync the folder.

    Raises:
        OSError: the file cannot be written (disk full, no such folder, no permission).
    """
    folder = path.parent
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS):  # some file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)
