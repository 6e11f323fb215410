"""Arrays and numbers out of a bundle's part, checked before memory is taken.

A part is what msgpack reads: maps, strings, numbers, and arrays as ``[dtype, shape, bytes]``, as in
`logagent.model.encode_arrays`. Arrays are views of those bytes, read-only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["array", "entry", "number", "packed", "whole"]

_DTYPES = ("|i1", "|u1", "<u2", "<i2", "<i4", "<u4", "<f4", "<f8")
_MOST_BYTES = 8 << 20  # [bytes] of one array: 0.4 M parameters are 1.6 MB


def packed(values: npt.NDArray[Any]) -> list[Any]:
    """Return an array as a part holds it."""
    return [values.dtype.str, list(values.shape), np.ascontiguousarray(values).tobytes()]


def entry(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a map within a map.

    Raises:
        ValueError: there is none.
    """
    held = part.get(name)
    if not isinstance(held, Mapping):
        raise ValueError(f"no map {name!r}")
    return held


def array(
    part: Mapping[str, Any], name: str, dtype: str, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return an array of a dtype and shape; -1 is any length.

    Raises:
        ValueError: it is missing, of another dtype or shape, not finite, or too large.
    """
    match part.get(name):
        case [str(found), [*sizes], bytes(raw)] if found in _DTYPES:
            pass
        case _:
            raise ValueError(f"no array {name!r}")
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError(f"{name}: shape {sizes!r:.80}")
    fits = len(sizes) == len(shape) and all(
        want in (-1, size) for want, size in zip(shape, sizes, strict=True)
    )
    wanted = np.dtype(dtype)
    if found != wanted.str or not fits:
        raise ValueError(f"{name}: {found} {tuple(sizes)!r:.80}, not {wanted.str} {shape}")
    if len(raw) > _MOST_BYTES or math.prod(sizes) * wanted.itemsize != len(raw):
        raise ValueError(f"{name}: {len(raw)} bytes for {tuple(sizes)}")
    values = np.frombuffer(raw, wanted).reshape(sizes)
    if wanted.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name}: not finite")
    return values


def number(part: Mapping[str, Any], name: str, least: float, most: float) -> float:
    """Return a number in [least, most].

    Raises:
        ValueError: it is missing, or outside.
    """
    value = part.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r:.40} is not in [{least}, {most}]")
    return float(value)


def whole(part: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number in [least, most].

    Raises:
        ValueError: it is missing, not whole, or outside.
    """
    value = number(part, name, least, most)
    if value != int(value):
        raise ValueError(f"{name}: {value} is not whole")
    return int(value)
