"""Data and detectors that the tests share: small ones, as what is tested is not how well they detect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vae_train import VaeDetector

#: Settings of fits that take a part of a second.
SMALL = {"epochs": 3, "hidden": [8], "latent": 2, "progress": False}


def pump_log(rows: int, seed: int, clogged: float = 0.0) -> np.ndarray:
    """Flow and pressure of a pump whose filter is clean or clogged: what they have in common is lost then."""
    random = np.random.default_rng(seed)
    load = np.sin(np.arange(rows) / 40) + 0.3 * random.normal(size=rows)
    flow = 20 + 3 * load * (1 - clogged) + 0.2 * random.normal(size=rows)
    return np.c_[flow, 4 + 0.5 * load + 0.05 * random.normal(size=rows)]


@pytest.fixture(scope="session")
def frame():
    """A healthy pump's log with names, of PyArrow."""
    pyarrow = pytest.importorskip("pyarrow")
    flow, pressure = pump_log(1500, 1).T
    return pyarrow.table({"flow": flow, "pressure": pressure})


@pytest.fixture(scope="session")
def windowed(frame):
    """A detector of windows, calibrated."""
    detector = VaeDetector(window=8, hop=4, **SMALL).fit(frame)
    return detector.calibrate(named(pump_log(12_000, 2)), alarms="1/hour", rate=1.0, force=True)


@pytest.fixture(scope="session")
def pump(windowed, tmp_path_factory) -> Path:
    """Its model file."""
    path = tmp_path_factory.mktemp("model") / "pump.vae"
    windowed.export(path)
    return path


@pytest.fixture(scope="session")
def program() -> str:
    """The program `vae-train` of this version, to be compared with."""
    path = os.environ.get("VAE_TRAIN")
    if not path:
        pytest.skip("what the program says is compared where VAE_TRAIN names it: cargo build, VAE_TRAIN=target/debug/vae-train")
    return path


def named(values: np.ndarray):
    """A log as a table with names."""
    import pyarrow

    return pyarrow.table({"flow": values[:, 0], "pressure": values[:, 1]})


def script(text: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Runs a program of Python."""
    return subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=120, **options)
