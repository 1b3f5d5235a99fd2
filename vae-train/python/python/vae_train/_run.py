"""The run directory that a detector was fitted in."""

from __future__ import annotations

import tempfile
from os import PathLike, fspath
from pathlib import Path
from typing import Any


class Run:
    """A run directory: of the user's name, which stays, or a temporary one, which vanishes with this.

    A pickle holds the files and not the name, and is unpacked into a temporary directory: so a detector can go to another machine.
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="vae-train-") if path is None else None
        self.path = Path(self._temporary.name, "run") if self._temporary else Path(fspath(path or ""))

    @property
    def is_temporary(self) -> bool:
        """Whether it vanishes with this."""
        return self._temporary is not None

    def __getstate__(self) -> dict[str, Any]:
        files = sorted(path for path in self.path.iterdir() if path.is_file() and not path.name.startswith("."))
        return {"files": {path.name: path.read_bytes() for path in files}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self.path.mkdir()
        for name, content in state["files"].items():
            # A name of the directory's own files, whatever the pickle says.
            (self.path / Path(name).name).write_bytes(content)
