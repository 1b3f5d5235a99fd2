"""Anomaly detectors that are trained on a desktop and run on a microcontroller.

`VaeDetector` is an outlier detector of scikit-learn whose model is exported to a file that firmware includes; `Model` is such a file; `Detector` is
what runs on the device, fed with samples here. All scores come from the code that runs there, bit for bit.
"""

from vae_train._detector import VaeDetector
from vae_train._model import Detector, Model, Verdict
from vae_train._progress import Progress

__all__ = ["Detector", "Model", "Progress", "VaeDetector", "Verdict"]
