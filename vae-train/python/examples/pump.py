# %% [markdown]
# # From a pump's log to a model file, with pictures
#
# A script in cells, as editors and Jupytext run them one by one: `python pump.py --out DIR` runs all of it.

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from vae_train import Model, VaeDetector

parser = argparse.ArgumentParser(description="Fits, calibrates, exports and tries a detector of a simulated pump.")
parser.add_argument("--out", type=Path, default=Path("pump"), help="folder of the pictures, the page and the model")
parser.add_argument("--epochs", type=int, help="passes over the data; by default the program's own choice")
parser.add_argument("--rows", type=int, default=100_000, help="of normal data for the threshold")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The data
#
# Flow and pressure of a pump under a load that changes, a row a second. When its filter clogs, the flow no longer follows the load: each value by
# itself stays where it has always been.


# %%
def log(seconds: int, seed: int, clogged: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    load = np.sin(np.arange(seconds) / 40) + 0.3 * random.normal(size=seconds)
    other = np.sin(np.arange(seconds) / 40 + 1.5) + 0.3 * random.normal(size=seconds)
    flow = 20 + 3 * ((1 - clogged) * load + clogged * other) + 0.2 * random.normal(size=seconds)
    return np.c_[flow, 4 + 0.5 * load + 0.05 * random.normal(size=seconds)]


normal, holdout = log(20_000, 1), log(options.rows, 2)
trial = np.r_[log(2000, 3), log(1000, 4, clogged=1.0), log(1000, 5)]

# %% [markdown]
# ## Fit and calibrate
#
# The threshold comes from normal data that the model has not seen: as many false alarms as are accepted.

# %%
history = []


def told(event: str, numbers: dict) -> None:
    if event == "epoch":
        history.append((numbers["epoch"], numbers["elbo"], numbers["validation_elbo"]))


detector = VaeDetector(window=16, hidden=[32, 16], epochs=options.epochs, progress=told).fit(normal)
detector.calibrate(holdout, alarms="1/day", rate=1.0, force=True)
print("\n".join(detector.notes_))
print(f"threshold {detector.offset_:.2f} nats, {detector.model_}")

# %%
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
epochs, elbo, validation = np.array(history).T
axes.plot(epochs, elbo, label="training windows")
axes.plot(epochs, validation, label="held-out windows")
axes.set(xlabel="epoch", ylabel="ELBO, nats a window", title="Training")
axes.legend()
figure.savefig(options.out / "training.png", dpi=120)

# %% [markdown]
# ## Try it
#
# `score` has the columns of `vae-train score`: what the device will say of each window.

# %%
scores = detector.model_.score(trial, samples=0)
figure, axes = plt.subplots(2, figsize=(7, 4.5), sharex=True, layout="constrained")
axes[0].plot(trial, linewidth=0.5, label=["flow", "pressure"])
axes[0].legend(loc="upper right")
axes[1].plot(scores["row"], scores["score"], linewidth=0.7)
axes[1].axhline(detector.offset_, color="black", linestyle="--", label="threshold")
axes[1].fill_between(
    scores["row"], 0, 1, where=scores["alarm"] > 0, transform=axes[1].get_xaxis_transform(), alpha=0.3, label="alarm"
)
axes[1].set(xlabel="second", ylabel="score, nats")
axes[1].legend(loc="lower right")
figure.savefig(options.out / "trial.png", dpi=120)
alarmed = np.isin(np.arange(len(trial)), scores["row"][scores["alarm"] > 0])
print(f"windows in an alarm: {alarmed[:2000].sum()} before the filter clogs, {alarmed[2000:3000].sum()} while it is clogged")

# %% [markdown]
# ## Take it along
#
# The file is what the firmware includes; a stream is judged here as it will be there.

# %%
exported = detector.export(options.out / "pump.vae", replace=True)
detector.report(options.out / "pump.html", trial, np.repeat([0, 1, 0], [2000, 1000, 1000]), replace=True)
print(f"{exported['flash']} bytes of flash, {exported['scratch']} bytes of scratch")

device = Model(options.out / "pump.vae").detector()
said = [str(verdict) for verdict in map(device.push, trial) if verdict is not None]
assert said == scores["verdict"]
print(f"the last word on the clogged filter: {said[2980 // 8 - 1]}")
