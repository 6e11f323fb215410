"""Whether what is going to be paid for can be written afterwards.

Guarantees: looked at by writing, as permissions alone do not tell of read-only file systems; what
was there stays; what is read is never written over. Leaves the writing itself to `logagent.files`.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from logagent.errors import ConfigError

__all__ = ["writable"]


def writable(
    path: Path, inputs: Iterable[Path | None] = (), *, folders: Iterable[Path] = ()
) -> None:
    """Make the folder of a file that is to be written, and write beside it to see that it works.

    Args:
        path: of the file to write.
        inputs: files that are read, or written too; None is none.
        folders: of which all files are read, now and the next time; what is no folder is none.

    Raises:
        ConfigError: it is one of those that are read, or would be in one of the folders.
        OSError: there is a folder of this name, or nothing can be written there.
    """
    if any(
        each is not None and os.path.realpath(each) == os.path.realpath(path) for each in inputs
    ):
        raise ConfigError(f"{path} is read here, and would be written over: give another name")
    for folder in folders:
        if folder.is_dir() and Path(os.path.realpath(path)).is_relative_to(
            os.path.realpath(folder)
        ):
            raise ConfigError(f"{path} would be read as one of the files of {folder}: write it "
                              "elsewhere")  # fmt: skip
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder; give the name of a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:  # it names the temporary file
        raise type(error)(error.errno, error.strerror, str(path)) from None
