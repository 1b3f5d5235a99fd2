"""docs/score.py for tests/core/recomputed.rs: python score.py PLACE DOCS. For each PLACE/NAME.safetensors there are windows in PLACE/NAME.f32: 32-bit
numbers, window after window, the channels of a sample side by side and a window's condition behind it. Prints the columns of each as JSON."""

import json
import os
import sys

import numpy as np

place, docs = sys.argv[1:]
sys.path.insert(0, docs)
import score

found = {}
for name in sorted(name for name, kind in map(os.path.splitext, os.listdir(place)) if kind == ".safetensors"):
    tensors, metadata = score.read(os.path.join(place, name + ".safetensors"))
    channels, conditions = [len(metadata[kind].split("\n")) if metadata[kind] else 0 for kind in ("channels", "conditions")]
    samples = int(metadata["window"]) * channels
    inputs = np.fromfile(os.path.join(place, name + ".f32"), "<f4").reshape(-1, samples + conditions).astype("f8")
    windows = inputs[:, :samples].reshape(len(inputs), -1, channels)
    columns = score.scores(windows, inputs[:, samples:], tensors, metadata)
    found[name] = {column: np.asarray(values, "f8").tolist() for column, values in columns.items()}
json.dump(found, sys.stdout)
