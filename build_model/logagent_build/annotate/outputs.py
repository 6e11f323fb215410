"""Whether what is going to be paid for can be written afterwards.

Guarantees: looked at by writing, as permissions alone do not tell of read-only file systems; what
was there stays. Leaves the writing itself to `logagent.files`.
"""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

__all__ = ["writable"]


def writable(path: Path) -> None:
    """Make the folder of a file that is to be written, and write beside it to see that it works.

    Raises:
        OSError: there is a folder of this name, or nothing can be written there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder; give the name of a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:  # it names the temporary file
        raise type(error)(error.errno, error.strerror, str(path)) from None
