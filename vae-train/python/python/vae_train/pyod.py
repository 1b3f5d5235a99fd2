"""The detector as PyOD has detectors; needs PyOD."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyod.models.base import BaseDetector
from sklearn.base import clone

from vae_train._detector import VaeDetector


class PyodDetector(BaseDetector):
    """A `VaeDetector` by PyOD's conventions: high scores are anomalous, `predict` gives 1 for outliers and 0 for others, and the threshold is that of
    which a share of `contamination` of the training rows are outliers.

    `detector` holds the settings; by default those of `VaeDetector()`. `detector_` is the fitted one, to be calibrated and exported.
    """

    def __init__(self, detector: VaeDetector | None = None, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)
        self.detector = detector

    def fit(self, X: Any, y: object = None) -> PyodDetector:
        """Fits the detector to rows of which most are normal."""
        self._set_n_classes(y)
        self.detector_ = clone(self.detector or VaeDetector()).fit(X)
        self.decision_scores_ = self.detector_.decision_scores_
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of rows, in nats: high ones are anomalous."""
        scores: np.ndarray = self.detector_.score_samples(X)
        return -scores
