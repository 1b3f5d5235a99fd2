"""The examples run, and say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vae_train import Model

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    program = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pump_is_fitted_drawn_and_exported(tmp_path):
    pytest.importorskip("matplotlib")
    said = run("pump.py", "--out", tmp_path, "--epochs", 3, "--rows", 6000)
    line = next(line for line in said.splitlines() if line.startswith("windows in an alarm: "))
    before, clogged = (int(words.split()[0]) for words in line.removeprefix("windows in an alarm: ").split(", "))
    assert clogged > 60 > before
    for name in ("training.png", "trial.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert Model(tmp_path / "pump.vae").window == 16 and (tmp_path / "pump.html").exists()


def test_machines_are_fitted_by_map(tmp_path):
    pytest.importorskip("distributed", reason="Dask is tried where it is installed")
    said = run("machines.py", "--machines", 3, "--epochs", 2, "--rows", 2000, "--threads", "--out", tmp_path)
    assert said.startswith("3 models in ")
    models = [Model(tmp_path / f"machine-{machine:03}.vae") for machine in range(3)]
    assert len({model.fingerprint for model in models}) == 3
