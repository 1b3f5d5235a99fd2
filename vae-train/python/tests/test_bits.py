"""Python, the program and the device say the same, bit for bit."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, named, pump_log

from vae_train import Model, VaeDetector


def write(path: Path, names: list[str], values: np.ndarray) -> Path:
    with path.open("w") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows([repr(float(value)) for value in row] for row in values)
    return path


def run(program: str, *arguments: object) -> None:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def columns(path: Path) -> dict[str, list[str]]:
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_scores_are_those_of_the_program(program, pump, tmp_path):
    log = np.r_[pump_log(400, 5), pump_log(200, 6, clogged=1.0)]
    log[37, 1] = np.nan
    data, out = write(tmp_path / "log.csv", ["flow", "pressure"], log), tmp_path / "scores.csv"
    run(program, "score", pump, data, "--out", out, "--samples", 4, "--seed", 7)
    expected, found = columns(out), Model(pump).score(named(log), samples=4, seed=7)
    assert list(found) == list(expected)
    for name, texts in expected.items():
        if name == "verdict":
            assert found[name] == texts
        else:
            # What is printed of an f32 gives it back.
            np.testing.assert_array_equal(found[name], np.array(texts, dtype=found[name].dtype), err_msg=name)
    assert 0 < found["alarm"].sum() < len(found["alarm"])


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_a_fit_gives_the_programs_file(program, tmp_path, offset):
    log = pump_log(1200, 8) + [offset, 0]
    data = write(tmp_path / "log.csv", ["flow", "pressure"], log)
    settings = ["--window", 8, "--front-end", "flow=statistics", "--epochs", 2, "--hidden", 8, "--latent", 2, "--seed", 5]
    run(program, "fit", data, "--out", tmp_path / "run", *settings)
    run(program, "export", tmp_path / "run", "--out", tmp_path / "program.vae")
    fit = {**SMALL, "epochs": 2, "window": 8, "front_end": "flow=statistics", "random_state": 5}
    detector = VaeDetector(precision="int8", **fit).fit(named(log))
    detector.export(tmp_path / "python.vae")
    assert (tmp_path / "python.vae").read_bytes() == (tmp_path / "program.vae").read_bytes()
    assert detector.model_.to_bytes() == (tmp_path / "python.vae").read_bytes()


def test_the_programs_other_verbs_go_on_with_a_run(program, tmp_path):
    VaeDetector(run=tmp_path / "run", **SMALL).fit(pump_log(400, 1))
    run(program, "export", tmp_path / "run", "--out", tmp_path / "a.vae")
    assert Model(tmp_path / "a.vae").channels == ["x0", "x1"]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 3


def test_a_stream_is_judged_as_its_table(pump):
    log = np.r_[pump_log(300, 5), pump_log(200, 6, clogged=1.0)]
    model = Model(pump)
    scores, rows, samples = model.score(log), model.detector(), model.detector()
    verdicts = rows.push_rows(log[:101]) + rows.push_rows(log[101:])
    one_by_one = [verdict for verdict in map(samples.push, log) if verdict is not None]
    assert [verdict.words for verdict in verdicts] == [verdict.words for verdict in one_by_one] == scores["verdict"]
    assert [verdict.alarm for verdict in verdicts] == scores["alarm"].astype(bool).tolist()
    judged = [(verdict.score, score) for verdict, score in zip(verdicts, scores["score"], strict=True) if verdict.score]
    assert len(judged) > 50 and all(np.float32(a) == b for a, b in judged[:20])
    assert rows.is_raised and "anomalous" in {verdict.kind for verdict in verdicts}
    rows.forget()
    assert not rows.is_raised
    assert samples.push({"pressure": 4.0, "flow": 20.0}) is None


def test_scores_do_not_depend_on_how_many_rows_come_at_a_time():
    # More rows than are taken at once, with a hop that does not divide them.
    log = np.repeat(pump_log(60_001, 9), 30, axis=1)[:, :50]
    detector = VaeDetector(window=8, hop=3, front_end="mean", **SMALL).fit(log[:1000] + np.arange(50))
    scores = detector.model_.score(log, samples=0)
    assert scores["row"].tolist() == list(range(7, len(log), 3))
    there = np.flatnonzero(scores["row"] > 50_000)[100]
    first = scores["row"][there] - 7
    alone = detector.model_.score(log[first : first + 8], samples=0)
    assert alone["score"][0] == scores["score"][there]
