"""Tables as `_native` takes them: names and blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_train._arrow import as_float, columns_of, speaks_arrow

Blocks = list[Any]


def rows_of(data: Any, names: list[str] | None = None) -> tuple[list[str] | None, Blocks]:
    """Names, where the data have some, and blocks of rows, which are arrays of two dimensions or lists of columns.

    Nothing is copied that lies in rows or columns of 32- or 64-bit floating-point numbers. Raises `ValueError` for what is no table of numbers.
    """
    if hasattr(data, "reset_index") and hasattr(data, "columns"):
        # The index of a data frame of pandas is none of its columns.
        data = data.reset_index(drop=True)
    if speaks_arrow(data):
        try:
            return columns_of(data)
        except ImportError:  # pandas speaks Arrow by PyArrow, where that is
            pass
    found = [str(name) for name in data.columns] if hasattr(data, "columns") else names
    return found, [matrix_of(data)]


def matrix_of(data: Any) -> np.ndarray:
    """An array of two dimensions, of single or double precision, whose rows or columns lie one behind the other."""
    array = np.asarray(data)
    if array.ndim != 2:
        raise ValueError(f"X has the shape {array.shape}, and a table has two dimensions, rows × columns: reshape it")
    if array.dtype.kind not in "biuf":
        what = {"U": "texts", "S": "texts", "O": "objects", "M": "dates", "m": "durations", "c": "complex numbers"}
        kind = what.get(array.dtype.kind, str(array.dtype))
        try:
            if array.dtype.kind != "O":
                raise ValueError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            message = f"X holds {kind} (dtype {array.dtype}) and no numbers: leave such columns out, or make numbers of them"
            raise ValueError(message) from None
    array = as_float(array)
    return array if array.flags.c_contiguous or array.flags.f_contiguous else np.ascontiguousarray(array)


def default_names(width: int) -> list[str]:
    """What the program calls the columns of an array."""
    return [f"x{column}" for column in range(width)]


def width_of(blocks: Blocks) -> int:
    """Columns of blocks; 0 where there are none."""
    if not blocks:
        return 0
    return len(blocks[0]) if isinstance(blocks[0], list) else int(blocks[0].shape[1])


def rows_in(blocks: Blocks) -> int:
    """Rows of blocks."""
    return sum(len(block[0]) if isinstance(block, list) else len(block) for block in blocks)
