"""The detector as scikit-learn has outlier detectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_train import _native
from vae_train._arrow import speaks_arrow
from vae_train._model import Detector, Model
from vae_train._progress import Listener
from vae_train._rows import Blocks, default_names, matrix_of, rows_in, rows_of, width_of
from vae_train._run import Run

_LARGEST_SEED = 2**31 - 1
#: Parameters that are no settings of the program's.
_OWN = ("precision", "run", "replace", "progress", "random_state")


class VaeDetector(OutlierMixin, BaseEstimator):
    """An anomaly detector by a variational autoencoder, which runs on a microcontroller with the bits that it has here.

    It is fitted to normal rows, or with a window to the windows of a stream. A parameter that is `None` has the program's default; all but the last
    five are settings of `vae-train fit`, by their names there, whose `--help` says more.

    Parameters
    ----------
    window : int
        Rows in a window; by default 1, for independent rows.
    hop : int
        Rows between the starts of successive windows; by default half a window.
    front_end : str or list of str
        What the model sees of a window: "raw", "mean", "statistics", "bands:16", "mel:32x5", or "x=statistics" for one channel.
    rate : float
        Rows a second, for mel bands.
    condition : list of str
        Columns that the model is given and does not judge, as a speed or a load.
    column : list of str
        Families of columns, as in ["on=bernoulli"]; the others are gaussian.
    binarise : {"static", "dynamic"}
        Turn grey values into zeros and ones, for a Bernoulli likelihood.
    drift : float
        How far the level of each channel may wander before that is an anomaly.
    trim : float
        Leave out at most this share of the windows, of those that stand out by far.
    validation : float
        Share of the windows that is held out for validation and the threshold.
    split : {"time", "seeded"}
        How the held-out windows are chosen.
    false_alarms : float
        Share of the held-out windows that are called anomalous until `calibrate`; by default 0.01.
    purpose : {"detection", "density"}
        What the model is for.
    likelihood, covariance_rank, variance, variance_floor, relations
        Of the decoder.
    hidden : list of int
        Widths of the encoder's hidden layers.
    latent : int
        Latent dimensions.
    activation, posterior, categories, prior, mixture, posteriors, second_stage
        Of the network and its latent vectors.
    objective, samples, estimator, input_noise, beta, free_bits, warm_up
        What training maximises.
    epochs, batch, learning_rate, last_rate, patience, quantisation_aware
        How long and in what steps it is trained.
    precision : {"int8", "f32"}
        How weights are stored; by default int8, or f32 where int8 changes too many verdicts.
    run : path
        Directory in which the run is kept, for `vae-train`'s other verbs; by default a temporary one.
    replace : bool
        Whether a run that is there already is replaced.
    progress : callable or bool
        What is told how the fit goes, as `Progress` is; by default a `Progress`, which is silent but on a terminal; False for nothing.
    random_state : int or RandomState
        Seed of everything random: the same one gives the same model, bit for bit. By default 0.

    Attributes
    ----------
    model_ : Model
        What `export` would write.
    precision_ : {"int8", "f32"}
        Of its weights.
    offset_ : float
        The threshold: `decision_function` is `score_samples` less this.
    fitted_ : dict
        What the fit came to, as the run's `summary.json` has it.
    calibration_ : dict
        What the calibration is worth; none before `calibrate`.
    notes_ : list of str
        What the program said meanwhile.
    n_features_in_, feature_names_in_
        Columns of X.
    decision_scores_, labels_, threshold_
        As PyOD has them, of the rows of `fit`: scores of which high ones are anomalous, 1 for those above the threshold, the threshold.

    Examples
    --------
    >>> detector = VaeDetector(epochs=4, hidden=[8], latent=2, progress=False).fit(normal)
    >>> detector.predict(normal[:3])
    array([1, 1, 1])
    >>> bool(detector.score_samples(normal + 9).max() < detector.score_samples(normal).min())
    True
    """

    def __init__(
        self,
        *,
        window: int | None = None,
        hop: int | None = None,
        front_end: str | Sequence[str] | None = None,
        rate: float | None = None,
        condition: Sequence[str] | None = None,
        column: Sequence[str] | None = None,
        binarise: str | None = None,
        drift: float | None = None,
        trim: float | None = None,
        validation: float | None = None,
        split: str | None = None,
        false_alarms: float | None = None,
        purpose: str | None = None,
        likelihood: str | None = None,
        covariance_rank: int | None = None,
        variance: float | None = None,
        variance_floor: float | None = None,
        relations: bool | None = None,
        hidden: Sequence[int] | None = None,
        latent: int | None = None,
        activation: str | None = None,
        posterior: str | None = None,
        categories: int | None = None,
        prior: int | None = None,
        mixture: int | None = None,
        posteriors: int | None = None,
        second_stage: bool | None = None,
        objective: str | None = None,
        samples: int | None = None,
        estimator: str | None = None,
        input_noise: float | None = None,
        beta: float | None = None,
        free_bits: float | None = None,
        warm_up: int | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        last_rate: float | None = None,
        patience: int | None = None,
        quantisation_aware: int | None = None,
        precision: str | None = None,
        run: str | PathLike[str] | None = None,
        replace: bool = False,
        progress: Callable[[str, dict[str, Any]], object] | bool | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.window = window
        self.hop = hop
        self.front_end = front_end
        self.rate = rate
        self.condition = condition
        self.column = column
        self.binarise = binarise
        self.drift = drift
        self.trim = trim
        self.validation = validation
        self.split = split
        self.false_alarms = false_alarms
        self.purpose = purpose
        self.likelihood = likelihood
        self.covariance_rank = covariance_rank
        self.variance = variance
        self.variance_floor = variance_floor
        self.relations = relations
        self.hidden = hidden
        self.latent = latent
        self.activation = activation
        self.posterior = posterior
        self.categories = categories
        self.prior = prior
        self.mixture = mixture
        self.posteriors = posteriors
        self.second_stage = second_stage
        self.objective = objective
        self.samples = samples
        self.estimator = estimator
        self.input_noise = input_noise
        self.beta = beta
        self.free_bits = free_bits
        self.warm_up = warm_up
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.last_rate = last_rate
        self.patience = patience
        self.quantisation_aware = quantisation_aware
        self.precision = precision
        self.run = run
        self.replace = replace
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: object = None) -> VaeDetector:
        """Fits the detector to normal rows, in the order of time where it has a window.

        X are a data frame or Arrow table of numbers, or an array; all of its columns are taken, and NaN is a missing value. `y` is not looked at.
        Ctrl-C stops the fit; with `run`, what is whole is kept, and `vae-train fit --resume` goes on with it.

        Raises `ValueError` if X is no table of numbers or the settings contradict each other, with the program's words.
        """
        names, blocks = self._rows(X, reset=True)
        run = Run(self.run)
        listener = Listener(self.progress)
        self.fitted_ = json.loads(
            _native.fit(blocks, names, json.dumps(self._settings()), run.path, self.replace, listener)
        )
        self.run_, self.names_ = run, names
        self.calibration_ = None
        self.notes_ = listener.notes
        self._take_model()
        self._judge_training(names, blocks)
        return self

    def calibrate(
        self,
        X: Any,
        *,
        alarms: str | None = None,
        rate: float | None = None,
        votes: str | tuple[int, int] = "2/3",
        ranges: Mapping[str, tuple[float, float]] | None = None,
        score: str = "mean",
        force: bool = False,
    ) -> VaeDetector:
        """Sets the threshold by normal rows, in the order of time, that were not trained on; gives the detector.

        `alarms` are the false alarms that you accept, as in "1/week"; without them the threshold is a quantile. `rate` are rows a second; `votes` how many of
        the last windows must be anomalous to raise an alarm; `ranges` the least and largest value of sensors, by channel; `score` how the device scores a
        window: "mean", "samples:L" or "importance:K". The model of `model_` and of `export` holds all of that; `calibration_` says what it is worth.

        Raises `ValueError` if the rows do not support that rate, or were trained on: with `force` it is taken as it is.
        """
        check_is_fitted(self)
        names, blocks = self._rows(X, reset=False)
        listener = Listener(self.progress)
        asked = {
            "alarms": alarms,
            "rate": rate,
            "votes": votes if isinstance(votes, str) else "{}/{}".format(*votes),
            "ranges": [(name, float(low), float(high)) for name, (low, high) in (ranges or {}).items()],
            "score": score,
            "force": force,
        }
        done = _native.calibrate(self.run_.path, blocks, names, asked, self.precision or "", listener)
        self.calibration_ = json.loads(done)
        self.notes_ = [*self.notes_, *listener.notes]
        self._take_model()
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The score of each row, in nats: high ones are normal.

        With a window, a row has the score of the newest window that ended with it or before it; the rows before the end of the first window have that of
        the first.
        """
        check_is_fitted(self)
        names, blocks = self._rows(X, reset=False)
        return self._scores(names, blocks)

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less the threshold: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal rows, −1 for outliers: those whose window scores below the threshold, whatever the votes say."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def detector(self, *, alarms: str | None = None) -> Detector:
        """What runs on the device, just started, to be fed with samples; see `Detector.push`."""
        check_is_fitted(self)
        return self.model_.detector(alarms=alarms)

    def export(
        self,
        path: str | PathLike[str],
        *,
        c_array: str | PathLike[str] | None = None,
        rust: str | PathLike[str] | None = None,
        safetensors: str | PathLike[str] | None = None,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Writes the model file for the firmware, whole or not at all, and also as a C header, a Rust module or f32 weights; gives its sizes.

        Raises `ValueError` if a file exists, unless it is to be replaced, or int8 changes too many verdicts.
        """
        check_is_fitted(self)
        others = (c_array, rust, safetensors)
        return dict(json.loads(_native.export(self.run_.path, path, self.precision_, others, replace)))

    def report(self, path: str | PathLike[str], X: Any = None, y: Any = None, *, replace: bool = False) -> dict[str, Any]:
        """Writes one HTML page about the detector: whether it is fit for use, how it was trained, what its threshold means; gives its numbers.

        With rows X it also shows what the model finds there, and with `y` how well: 0 for normal rows and 1 for anomalies, or 1 and −1, as scikit-learn
        has them.
        """
        check_is_fitted(self)
        data = None
        if X is not None:
            names, blocks = self._rows(X, reset=False)
            labels = None if y is None else _labels(np.asarray(y))
            rows = rows_in(blocks)
            if labels is not None and len(labels) != rows:
                raise ValueError(f"y has {len(labels)} labels, and X has {rows} rows")
            data = (blocks, names, labels)
        return dict(json.loads(_native.report(self.run_.path, path, self.precision_, data, self._seed(), replace)))

    def _rows(self, X: Any, *, reset: bool) -> tuple[list[str], Blocks]:
        """Names and blocks, checked as scikit-learn does."""
        least = 2 if reset else 1
        if speaks_arrow(X):
            names, blocks = rows_of(X)
            shape = (rows_in(blocks), width_of(blocks))
            # Names and their number; the numbers are checked where they are read, so that nothing is copied.
            shaped = X if hasattr(X, "shape") else np.broadcast_to(0.0, shape)
            validate_data(self, shaped, reset=reset, skip_check_array=True)
            if shape[0] < least:
                raise ValueError(f"Found array with {shape[0]} sample(s), and at least {least} are needed")
        else:
            dtype = None if getattr(X, "dtype", None) in (np.float32, np.float64) else "numeric"
            matrix = validate_data(
                self, X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan", ensure_min_samples=least
            )
            names, blocks = None, [matrix_of(matrix)]
        if names is None:
            names = list(getattr(self, "feature_names_in_", default_names(self.n_features_in_)))
        # What the model calls its columns, whatever they are called now: scikit-learn has compared them.
        return (names if reset else self.names_), blocks

    def _settings(self) -> dict[str, Any]:
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in _OWN and value is not None}
        return {"seed": self._seed(), **{name: _plain(name, value) for name, value in given.items()}}

    def _seed(self) -> int:
        state = self.random_state
        if state is None:
            return 0
        return int(state) if isinstance(state, Integral) else int(check_random_state(state).randint(_LARGEST_SEED))

    def _take_model(self) -> None:
        content, self.precision_ = _native.model_of(self.run_.path, self.precision or "")
        self.model_ = Model.from_bytes(content)
        self.offset_ = self.model_.threshold
        self.threshold_ = -self.offset_
        if hasattr(self, "decision_scores_"):
            self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)

    def _judge_training(self, names: list[str], blocks: Blocks) -> None:
        self.decision_scores_ = -self._scores(names, blocks)
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)

    def _scores(self, names: list[str], blocks: Blocks) -> np.ndarray:
        last_rows, scores = self.model_._scores(names, blocks)
        window = np.searchsorted(last_rows, np.arange(rows_in(blocks)), side="right") - 1
        return scores[np.maximum(window, 0)].astype(np.float64)


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, np.generic):
        value = value.item()
    if name in ("front_end", "condition", "column"):
        return [value] if isinstance(value, str) else [str(item) for item in value]
    if name == "hidden":
        return [int(width) for width in value]
    return value


def _labels(y: np.ndarray) -> list[bool]:
    """Whether each row is an anomaly."""
    values = set(np.unique(y).tolist())
    if values <= {0, 1}:
        return [bool(label) for label in y]
    if values <= {-1, 1}:
        return [bool(label < 0) for label in y]
    raise ValueError(f"y holds {sorted(values)[:5]}: give 0 for normal rows and 1 for anomalies, or 1 and -1")
