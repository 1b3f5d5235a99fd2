"""A model file, and the detector that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from vae_train import _native
from vae_train._rows import Blocks, rows_of, width_of


class Model:
    """A model file (`.vae`), read and checked.

    >>> model = Model(pump)
    >>> model.channels, model.window, model.hop
    (['flow', 'pressure'], 8, 4)
    >>> Model(pump.with_name("no.vae"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: ...

    Raises `OSError` if the file cannot be read, and `ValueError` if it is damaged, no model, or of a newer format than this package reads.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._take(_native.Model.read(path))

    @classmethod
    def from_bytes(cls, content: bytes) -> Model:
        """A model by its file's bytes.

        >>> Model.from_bytes(Model(pump).to_bytes()).fingerprint == Model(pump).fingerprint
        True
        """
        model = cls.__new__(cls)
        model._take(_native.Model.of_bytes(content))
        return model

    def _take(self, native: _native.Model) -> None:
        self._native = native
        self.columns, channels = native.columns()
        self.channels, self.conditions = self.columns[:channels], self.columns[channels:]
        self._facts = native.facts()

    def __reduce__(self) -> tuple[Any, ...]:
        return Model.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"<Model {self.fingerprint} of {len(self.channels)} channels × {self.window} samples, {self.flash} bytes>"

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return self._native.to_bytes()

    @property
    def window(self) -> int:
        """Samples in a window."""
        return int(self._facts["window"])

    @property
    def hop(self) -> int:
        """Samples between the starts of successive windows."""
        return int(self._facts["hop"])

    @property
    def threshold(self) -> float:
        """The score below which a window is anomalous, in nats."""
        return float(self._facts["threshold"])

    @property
    def sample_rate(self) -> float | None:
        """Samples a second that it was calibrated for; `None` where nobody said."""
        rate = self._facts["sample_rate"]
        return None if rate is None else float(rate)

    @property
    def fingerprint(self) -> str:
        """What tells this model from others, as firmware prints it."""
        return str(self._facts["fingerprint"])

    @property
    def flash(self) -> int:
        """Bytes of flash that it takes."""
        return int(self._facts["flash"])

    @property
    def scratch(self) -> int:
        """Bytes of RAM that a score needs."""
        return int(self._facts["scratch"])

    def score(self, X: Any, *, samples: int = 16, seed: int = 0) -> dict[str, Any]:
        """The columns of `vae-train score`, with its bits: arrays of one value for each window.

        `row` is the window's last row; `elbo`, `reconstruction`, `kl`, `log_likelihood` and `elbo_sampled` are in nats; `p_value` is the share of normal
        windows that score as low; `anomaly` is 1 below the threshold, `alarm` while the device's alarm is on, `score` what it judges by, `missing` the
        number of values that are, `verdict` the device's words. `samples` are those of the log-likelihood; with 0, `log_likelihood` and `elbo_sampled` are
        left out, which takes less time.

        X are rows in the order of time, of one recording: a data frame or Arrow table with the model's columns, in any order and among others, or an array
        of the model's columns in its order. NaN is a missing value.

        >>> scores = Model(pump).score(log, samples=0)
        >>> list(scores)[:3], scores["row"][:3]
        (['row', 'elbo', 'reconstruction'], array([ 7, 11, 15]))

        Raises `ValueError` if X is no table of numbers, lacks a column of the model, or is shorter than a window.
        """
        if not 0 <= samples <= 1_000_000:
            raise ValueError(f"samples {samples}: give 0 to 1000000")
        names, blocks = self._rows(X)
        return _arrays(self._native.score(blocks, names, True, samples, seed))

    def _scores(self, names: list[str], blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
        """Last row and score of each window."""
        found = _arrays(self._native.score(blocks, names, False, 0, 0))
        return found["row"], found["score"]

    def _rows(self, X: Any) -> tuple[list[str], Blocks]:
        names, blocks = rows_of(X)
        if names is None:
            width = width_of(blocks)
            if width != len(self.columns):
                raise ValueError(f"X has {width} columns, and the model has {len(self.columns)}: {', '.join(self.columns)}")
            names = self.columns
        return names, blocks

    def detector(self, *, alarms: str | None = None) -> Detector:
        """What runs on the device, just started.

        `alarms` is the rate of false alarms that you accept, as in "1/week", for that of the calibration.
        """
        return Detector(self, alarms=alarms)


def _arrays(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(column[1], dtype=column[0]) if isinstance(column, tuple) else column
        for name, column in columns.items()
    }


@dataclass(frozen=True)
class Verdict:
    """What a detector says of a window. `str` gives it in a few words, `line` as the firmware prints it."""

    kind: str
    """`normal`, `anomalous` (the alarm is on), `sensor fault` or `drifting`."""
    score: float | None
    """In nats; `None` where a sensor failed, and no window was judged."""
    p_value: float | None
    """The chance that a normal window scores as low or lower."""
    missing: int | None
    """Values of the window that were not observed."""
    channel: str | None
    """The channel to blame, of an anomaly or a fault."""
    alarm: bool
    """Whether an alarm is raised."""
    words: str
    """In a few words, with the channel to blame."""
    line: str
    """As the device prints it."""
    row: int | None = None
    """The window's last row, counted from 0, among those that were given together."""

    def __str__(self) -> str:
        return self.words


class Detector:
    """A stream's detector as on its device: the same code, the same bits.

    >>> detector = Model(pump).detector()
    >>> for sample in log[:12]:
    ...     verdict = detector.push(sample)
    ...     if verdict is not None:
    ...         print(verdict)
    normal
    normal
    """

    def __init__(self, model: Model, *, alarms: str | None = None) -> None:
        self.model = model
        self._alarms = alarms
        self._native = _native.Detector(model._native, alarms)

    def __repr__(self) -> str:
        return f"<Detector of {self.model!r}{', alarm raised' if self.is_raised else ''}>"

    def push(self, sample: Iterable[float] | Mapping[str, float]) -> Verdict | None:
        """Takes one sample in physical units: values in the model's order, or by name; gives the verdict if it completes a window.

        NaN is a missing value. Raises `ValueError` for another number of values, or if a condition is missing.
        """
        if isinstance(sample, Mapping):
            absent = [name for name in self.model.columns if name not in sample]
            if absent:
                raise ValueError(f"the sample lacks {', '.join(absent)}")
            sample = [sample[name] for name in self.model.columns]
        parts = self._native.push([float(value) for value in sample])
        return None if parts is None else Verdict(**parts)

    def push_rows(self, X: Any) -> list[Verdict]:
        """Takes the rows of a table, as `Model.score` does, behind those before; gives the verdict of each window that they complete.

        >>> [verdict.row for verdict in Model(pump).detector().push_rows(log[:16])]
        [7, 11, 15]
        """
        names, blocks = self.model._rows(X)
        return [Verdict(**parts) for parts in self._native.push_rows(blocks, names)]

    def gap(self) -> None:
        """Says that samples are missing here: a new window begins; votes and averages stay."""
        self._native.gap()

    def forget(self) -> None:
        """Forgets all samples, as where another recording begins."""
        self._native.forget()

    @property
    def is_raised(self) -> bool:
        """Whether an alarm is raised."""
        return self._native.is_raised()
