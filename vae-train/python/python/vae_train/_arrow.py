"""Columns of what speaks Arrow's C data interface: pandas, Polars, PyArrow, DuckDB.

An object with `__arrow_c_stream__` or `__arrow_c_array__` gives a capsule with the address of a structure, whose layout is fixed:
https://arrow.apache.org/docs/format/CDataInterface.html. Numbers are read where they lie; only what NumPy has no layout for is copied, a column at
a time: truth values, which are bits, and columns with missing values, which become NaN.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_POINTER = ctypes.POINTER


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", _POINTER(_POINTER(_Schema))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.CFUNCTYPE(None, _POINTER(_Schema))),
    ("private_data", ctypes.c_void_p),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", _POINTER(ctypes.c_void_p)),
    ("children", _POINTER(_POINTER(_Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.CFUNCTYPE(None, _POINTER(_Array))),
    ("private_data", ctypes.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, _POINTER(_Stream), _POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, _POINTER(_Stream), _POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, _POINTER(_Stream))),
    ("release", ctypes.CFUNCTYPE(None, _POINTER(_Stream))),
    ("private_data", ctypes.c_void_p),
]

_TYPES = {b"c": "i1", b"C": "u1", b"s": "i2", b"S": "u2", b"i": "i4", b"I": "u4", b"l": "i8", b"L": "u8", b"e": "f2", b"f": "f4", b"g": "f8"}
_WORDS = {
    b"n": "nothing but missing values",
    b"u": "texts",
    b"U": "texts",
    b"vu": "texts",
    b"z": "bytes",
    b"Z": "bytes",
    b"vz": "bytes",
}


def speaks_arrow(data: object) -> bool:
    """Whether an object gives its columns by the C data interface."""
    return hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")


class _Owned:
    """A structure that somebody else has filled, released with the last array that lies in it."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure

    def __del__(self) -> None:
        if self.structure.release:
            self.structure.release(ctypes.byref(self.structure))


def _address(capsule: object, name: bytes) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(get(capsule, name))


def _moved(capsule: object, name: bytes, kind: Any) -> _Owned:
    """Takes the structure out of a capsule, which then has nothing left to release."""
    theirs = kind.from_address(_address(capsule, name))
    ours = kind()
    ctypes.memmove(ctypes.byref(ours), ctypes.byref(theirs), ctypes.sizeof(kind))
    theirs.release = type(theirs.release)()
    return _Owned(ours)


def columns_of(data: Any) -> tuple[list[str], list[list[np.ndarray]]]:
    """Names of the columns, and blocks of rows, each an array of one dimension for each column.

    Raises `ValueError` for a column that holds no numbers, by its name.
    """
    if hasattr(data, "__arrow_c_stream__"):
        stream = _moved(data.__arrow_c_stream__(), b"arrow_array_stream", _Stream)
        schema, batches = _read(stream)
    else:
        capsules = data.__arrow_c_array__()
        schema = _moved(capsules[0], b"arrow_schema", _Schema)
        batches = [_moved(capsules[1], b"arrow_array", _Array)]
    if schema.structure.format != b"+s":
        raise ValueError("X is one column and no table: give a table, as in X.to_frame() or X.reshape(-1, 1)")
    fields = [schema.structure.children[index].contents for index in range(schema.structure.n_children)]
    names = [(field.name or b"").decode() for field in fields]
    blocks = []
    for batch in batches:
        if batch.structure.length:
            children = (batch.structure.children[index].contents for index in range(len(fields)))
            columns = zip(children, fields, names, strict=True)
            blocks.append([_column(batch, child, field, name) for child, field, name in columns])
    return names, blocks


def _read(stream: _Owned) -> tuple[_Owned, list[_Owned]]:
    pointer = ctypes.byref(stream.structure)

    def check(code: int) -> None:
        if code:
            words = stream.structure.get_last_error(pointer) or b"no reason given"
            raise OSError(code, f"X cannot be read to its end: {words.decode(errors='replace')}")

    schema = _Owned(_Schema())
    check(stream.structure.get_schema(pointer, ctypes.byref(schema.structure)))
    batches: list[_Owned] = []
    while True:
        batch = _Owned(_Array())
        check(stream.structure.get_next(pointer, ctypes.byref(batch.structure)))
        if not batch.structure.release:
            return schema, batches
        batches.append(batch)


def _column(batch: _Owned, array: Any, field: Any, name: str) -> np.ndarray:
    """The numbers of a column, of single or double precision, NaN where there are none; they lie in `batch`."""
    # Rows of the batch, whose own offset is that of its columns, too.
    offset, length = array.offset + batch.structure.offset, batch.structure.length
    if field.format == b"n":
        return np.full(length, np.nan)
    if field.dictionary or field.format not in (*_TYPES, b"b"):
        what = "categories" if field.dictionary else _WORDS.get(field.format, f"Arrow's type {field.format.decode()}")
        if field.format[:2] in (b"td", b"ts", b"tt"):
            what = "times"
        raise ValueError(f"X: column `{name}` holds {what} and no numbers: leave it out, or make numbers of it")
    if field.format == b"b":
        values = _bits(batch, array.buffers[1], offset, length).astype(np.float32)
    else:
        values = _view(batch, array.buffers[1], np.dtype(_TYPES[field.format]), offset, length)
    if array.null_count and array.buffers[0]:
        values = np.where(_bits(batch, array.buffers[0], offset, length), as_float(values), np.nan)
    return as_float(values)


def as_float(values: np.ndarray) -> np.ndarray:
    """Numbers in single or double precision: as they are, or in the one that holds them."""
    if values.dtype in (np.float32, np.float64) and values.dtype.isnative:
        return values
    small = values.dtype.kind in "biuf" and values.dtype.itemsize <= 2
    return values.astype(np.float32 if small else np.float64)


def _view(batch: _Owned, address: int | None, dtype: np.dtype, offset: int, length: int) -> np.ndarray:
    if not address:
        return np.empty(0, dtype)
    size = (offset + length) * dtype.itemsize
    memory: Any = (ctypes.c_char * size).from_address(address)
    memory._batch = batch  # lives as long as an array lies in it
    values: np.ndarray = np.frombuffer(memory, dtype)
    return values[offset:]


def _bits(batch: _Owned, address: int | None, offset: int, length: int) -> np.ndarray:
    octets = _view(batch, address, np.dtype("u1"), offset // 8, (offset + length + 7) // 8 - offset // 8)
    return np.unpackbits(octets, bitorder="little")[offset % 8 :][:length].astype(bool)
