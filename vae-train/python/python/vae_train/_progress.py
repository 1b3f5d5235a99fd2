"""What is shown of a fit while it runs."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, TextIO

_LOGGER = logging.getLogger("vae_train")


class Progress:
    """One line on standard error, where that is a terminal; nothing elsewhere.

    A fit calls it with an event's name and its numbers: `begun` (epochs), `step` (epoch, windows, of, elbo), `epoch` (epoch, elbo, validation_elbo,
    reconstruction, kl, best_epoch), `note` (message), `ended`. Any callable of these two arguments may be given to `VaeDetector` in its place; what it
    raises stops the fit.

    >>> progress = Progress(always=True, stream=sys.stdout)
    >>> progress("begun", {"epochs": 2})
    >>> progress("epoch", {"epoch": 1, "elbo": -3.0, "validation_elbo": -2.5, "best_epoch": 1})
    epoch 1 of 2: ELBO -3.000, validation -2.500 (best in epoch 1)
    """

    def __init__(self, *, always: bool = False, stream: TextIO | None = None, pause: float = 0.1) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.is_terminal = _is_terminal(self.stream)
        self.is_shown = always or self.is_terminal
        self.pause = pause
        self.epochs = 0
        self.shown = float("-inf")

    def __call__(self, event: str, numbers: dict[str, Any]) -> None:
        if event == "note":
            _LOGGER.info(numbers["message"])
        elif event == "begun":
            self.epochs = numbers["epochs"]
        elif event == "epoch" and time.monotonic() - self.shown >= self.pause:
            self.shown = time.monotonic()
            self._show(
                f"epoch {numbers['epoch']} of {self.epochs}: ELBO {numbers['elbo']:.3f}, validation {numbers['validation_elbo']:.3f} "
                f"(best in epoch {numbers['best_epoch']})"
            )
        elif event == "ended" and self.is_terminal:
            self._write("\r\x1b[K")

    def _show(self, line: str) -> None:
        self._write(f"\r\x1b[K{line}" if self.is_terminal else f"{line}\n")

    def _write(self, text: str) -> None:
        if not self.is_shown:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            # Whoever reads has had enough; the fit goes on.
            self.is_shown = False


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


class Listener:
    """Keeps what the program notes, and tells a progress the rest."""

    def __init__(self, progress: Any) -> None:
        self.notes: list[str] = []
        self.progress = Progress(always=progress is True) if progress is None or progress is True else progress or None

    def __call__(self, event: str, numbers: dict[str, Any]) -> None:
        if event == "note":
            self.notes.append(numbers["message"])
        if self.progress is not None:
            self.progress(event, numbers)
