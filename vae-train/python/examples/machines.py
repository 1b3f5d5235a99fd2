"""Models of many machines by `map`, on an engine that is there already: Dask, on this computer or on a cluster.

Each machine has a log; a model is fitted to its first part, calibrated on the second and tried on the third, where it should be quiet. What comes back
is the model file and a line of figures, so that nothing is shared but functions and bytes.

    python machines.py --machines 50 --workers 2
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from dask.distributed import Client, LocalCluster

from vae_train import Model, VaeDetector


class Fitted(NamedTuple):
    """What is kept of a machine."""

    machine: int
    model: bytes
    threshold: float
    alarms: int


def log(machine: int, rows: int, part: int) -> np.ndarray:
    """Three channels of a machine, which go together in its own way."""
    own, random = np.random.default_rng(machine), np.random.default_rng([machine, part])
    level, mixing = own.uniform(5, 50, size=3), own.normal(size=(2, 3))
    return level + random.normal(size=(rows, 2)) @ mixing + 0.1 * random.normal(size=(rows, 3))


def fitted(machine: int, epochs: int, rows: int) -> Fitted:
    """Fits, calibrates and tries the model of one machine."""
    detector = VaeDetector(hidden=[16], epochs=epochs, random_state=machine, progress=False).fit(log(machine, 2000, 0))
    detector.calibrate(log(machine, rows, 1), alarms="1/day", rate=1.0, force=True)
    scores = detector.model_.score(log(machine, rows, 2), samples=0)
    alarms = int((np.diff(scores["alarm"].astype(int), prepend=0) > 0).sum())
    return Fitted(machine, detector.model_.to_bytes(), detector.offset_, alarms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000, help="of the second and of the third part")
    parser.add_argument("--threads", action="store_true", help="workers as threads of one process: a fit lets the others run")
    parser.add_argument("--out", type=Path, default=Path("machines"), help="folder of the model files")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    workers = {"n_workers": options.workers, "threads_per_worker": 1, "processes": True}
    if options.threads:
        workers = {"n_workers": 1, "threads_per_worker": options.workers, "processes": False}
    began = time.monotonic()
    with LocalCluster(dashboard_address=None, **workers) as cluster, Client(cluster) as client:
        futures = client.map(fitted, range(options.machines), epochs=options.epochs, rows=options.rows)
        results = client.gather(futures)
    for result in results:
        (options.out / f"machine-{result.machine:03}.vae").write_bytes(result.model)
    alarms = sum(result.alarms for result in results)
    sizes = [Model.from_bytes(result.model).flash for result in results]
    print(
        f"{len(results)} models in {time.monotonic() - began:.0f} s, of {min(sizes)} to {max(sizes)} bytes; "
        f"{alarms} alarms in {len(results)} × {options.rows} normal rows, a row a second"
    )


if __name__ == "__main__":
    main()
