"""Files of tables for tests/readers.rs: python tables.py OUT. Each FILE.csv beside them has the values that FILE holds, for Rust to read."""

import os
import sys

import numpy as np
from scipy.io import wavfile


def expect(name, values):
    values = np.asarray(values, "f8")
    values = values[:, None] if values.ndim == 1 else values
    np.savetxt(name + ".csv", values, delimiter=",", fmt="%.17g", header=",".join(f"c{i}" for i in range(values.shape[1])), comments="")


def main(out):
    os.chdir(out)
    rng = np.random.default_rng(1)
    for kind in "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8":
        for order in "<>":
            for layout in "CF":
                dtype = np.dtype(kind).newbyteorder(order)
                values = rng.normal(scale=50, size=(7, 3))
                values = np.abs(values) if kind[0] == "u" else values
                array = np.array(values, dtype=dtype, order=layout)
                name = f"{'little' if order == '<' else 'big'}_{layout}_{kind.replace('?', 'bool')}.npy"
                np.save(name, array)
                expect(name, array)
    column = np.arange(5, dtype="i4")
    np.save("column.npy", column)
    expect("column.npy", column)
    for version in (1, 0), (2, 0), (3, 0):
        name = f"version{version[0]}.npy"
        array = rng.normal(size=(4, 2))
        with open(name, "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        expect(name, array)
    gaps = np.array([[1.5, np.nan], [np.nan, 2]])
    np.save("gaps.npy", gaps)
    expect("gaps.npy", gaps)
    X = rng.normal(size=(300, 4)).astype("f4")
    np.savez("stored.npz", X=X, y=np.arange(300) % 2)
    np.savez_compressed("deflated.npz", X=np.asfortranarray(X), label=np.arange(300) % 2 == 1)
    for name in "stored.npz", "deflated.npz":
        expect(name, X)
    for name, samples, unit in [
        ("u8.wav", rng.integers(0, 256, (50, 2)).astype("u1"), None),
        ("i16.wav", rng.integers(-(2**15), 2**15, (50, 3)).astype("i2"), 2.0**15),
        ("i32.wav", rng.integers(-(2**31), 2**31, 50).astype("i4"), 2.0**31),
        ("f32.wav", rng.normal(size=(50, 2)).astype("f4"), 1.0),
    ]:
        wavfile.write(name, 16000, samples)
        expect(name, (samples.astype("f8") - 128) / 128 if unit is None else samples / unit)


main(sys.argv[1])
