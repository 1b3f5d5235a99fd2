"""A fit beside other threads, at Ctrl-C, and where nobody reads what it shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import SMALL, pump_log, script

from vae_train import Progress, VaeDetector

#: Fits for hours, in a folder, and says when it has begun.
LONG = """
import sys
import numpy as np
from vae_train import VaeDetector
def told(event, numbers):
    if event == "epoch" and numbers["epoch"] == 2:
        print("begun", flush=True)
VaeDetector(epochs=1_000_000, patience=1_000_000, hidden=[8], run=sys.argv[1], progress=told).fit(np.random.default_rng(0).normal(size=(1000, 3)))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX has them")
def test_ctrl_c_stops_a_fit_and_keeps_what_is_whole(tmp_path):
    fit = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert fit.stdout.readline() == "begun\n"
    asked = time.monotonic()
    fit.send_signal(signal.SIGINT)
    _, errors = fit.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and fit.returncode != 0
    assert time.monotonic() - asked < 30
    assert (tmp_path / "run" / "checkpoint.bin").stat().st_size > 0


def test_what_a_progress_raises_stops_the_fit():
    def told(event, numbers):
        if event == "epoch" and numbers["epoch"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        VaeDetector(**{**SMALL, "epochs": 100_000, "patience": 100_000, "progress": told}).fit(pump_log(400, 1))


def test_other_threads_run_while_a_fit_does():
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    began = time.monotonic()
    VaeDetector(**SMALL).fit(pump_log(1500, 1))
    took = time.monotonic() - began
    done.set()
    thread.join()
    # A thread that waits for the interpreter meanwhile counts to one.
    assert counted > 20, (counted, took)


def test_a_fit_is_told_epoch_by_epoch():
    events = []
    settings = {**SMALL, "progress": lambda event, numbers: events.append((event, numbers))}
    detector = VaeDetector(**settings).fit(pump_log(30, 1))
    names = [event for event, _ in events]
    assert names.count("begun") == names.count("ended") == 1 and names.count("epoch") == 3
    epochs = [numbers for event, numbers in events if event == "epoch"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3] and np.isfinite(epochs[-1]["validation_elbo"])
    # And what the program notes is kept.
    assert any("less than a batch" in note for note in detector.notes_)


def test_a_progress_is_silent_but_on_a_terminal_and_survives_a_closed_pipe():
    fit = (
        "import numpy as np, sys\nfrom vae_train import VaeDetector\n"
        "X = np.random.default_rng(0).normal(size=(100, 3))\n"
        "VaeDetector(epochs=3, hidden=[4], latent=1, progress={}).fit(X)\n"
        "sys.stdout.write('done')"
    )
    silent = script(fit.format("None"))
    assert (silent.stdout, silent.stderr) == ("done", "")
    assert "epoch 1 of 3: ELBO" in script(fit.format("True")).stderr
    if os.name == "posix":
        read, write = os.pipe()
        os.close(read)
        closed = subprocess.run([sys.executable, "-c", fit.format("True")], stdout=subprocess.PIPE, stderr=write, text=True)
        os.close(write)
        assert closed.stdout == "done"


def test_a_progress_on_a_terminal_is_one_line():
    class Terminal:
        text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    terminal = Terminal()
    VaeDetector(**{**SMALL, "progress": Progress(stream=terminal, pause=0)}).fit(pump_log(100, 1))
    assert "\n" not in terminal.text and terminal.text.count("\r\x1b[Kepoch") == 3 and terminal.text.endswith("\r\x1b[K")
