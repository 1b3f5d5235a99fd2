"""What may be given, where it is copied, and what is refused with which words."""

from __future__ import annotations

import datetime
import tracemalloc

import numpy as np
import pytest
from conftest import SMALL, named, pump_log

from vae_train import Model, VaeDetector
from vae_train._rows import rows_of


def tables(values: np.ndarray):
    """The same values in other libraries' tables."""
    import pyarrow

    yield "pyarrow", named(values)
    yield "chunks", pyarrow.concat_tables([named(values[:17]), named(values[17:90]).slice(3), named(values[20:20])])
    yield "batch", named(values).to_batches()[0]
    polars = pytest.importorskip("polars")
    yield "polars", polars.DataFrame({"pressure": values[:, 1], "flow": values[:, 0], "other": ["a"] * len(values)})
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2026-01-01", periods=len(values), freq="s", name="time")
    yield "pandas", pandas.DataFrame({"flow": values[:, 0], "pressure": values[:, 1]}, index=index)


def test_every_table_of_the_same_numbers_has_the_same_scores(pump):
    pytest.importorskip("pyarrow")
    model, values = Model(pump), pump_log(200, 4)
    values[50, 0] = np.nan
    expected = model.score(values, samples=0)["score"]
    assert np.isfinite(expected).all()
    cut = np.r_[values[:17], values[20:90]]
    for name, table in tables(values):
        if name == "polars":
            table = table.select("pressure", "flow")
        scores = model.score(table, samples=0)["score"]
        of = model.score(cut, samples=0)["score"] if name == "chunks" else expected
        np.testing.assert_array_equal(scores, of, err_msg=name)
    for other in [np.asfortranarray(values), values.astype(">f8"), np.repeat(values, 2, axis=1)[:, ::2], values.tolist()]:
        np.testing.assert_array_equal(model.score(other, samples=0)["score"], expected)
    single = values.astype(np.float32)
    single.setflags(write=False)
    assert np.isclose(model.score(single, samples=0)["score"], expected, rtol=1e-3).all()


def test_numbers_are_read_where_they_lie():
    polars = pytest.importorskip("polars")
    address = lambda array: array.__array_interface__["data"][0]  # noqa: E731
    for dtype in (np.float32, np.float64):
        values = np.arange(12, dtype=dtype).reshape(4, 3)
        for array in (values, np.asfortranarray(values)):
            assert address(rows_of(array)[1][0]) == address(array)
        frame = polars.DataFrame({"a": values[:, 0].copy(), "b": values[:, 1].copy()})
        names, [[a, b]] = rows_of(frame)
        assert names == ["a", "b"] and address(a) == address(frame["a"].to_numpy()) and b.dtype == dtype
        del frame
        np.testing.assert_array_equal(b, values[:, 1])


def test_python_does_not_copy_a_table_to_score_it(pump):
    model, values = Model(pump), np.tile(pump_log(1000, 4).astype(np.float32), (300, 1))
    tracemalloc.start()
    names, blocks = model._rows(values)
    model._scores(names, blocks)
    # Of each of 75,000 windows its row and score.
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values.nbytes == 2_400_000 and peak < 1_300_000, peak


def test_whole_numbers_truth_values_and_missing_ones_are_numbers(pump):
    pyarrow = pytest.importorskip("pyarrow")
    _, [[whole, truth, short]] = rows_of(
        pyarrow.table({"a": [1, None, 2**40], "b": [True, None, False], "c": pyarrow.array([1, 2, 3], pyarrow.int8())})
    )
    assert whole.dtype == np.float64 and short.dtype == np.float32
    np.testing.assert_array_equal(whole, [1, np.nan, 2**40])
    np.testing.assert_array_equal(truth, [1, np.nan, 0])
    # Bits that do not begin with an octet.
    bits = [index % 3 == 0 for index in range(40)]
    _, [[found]] = rows_of(pyarrow.table({"a": bits}).slice(11, 20))
    assert found.tolist() == bits[11:31]


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros(5), "shape \\(5,\\).*two dimensions"),
        (np.zeros((2, 3, 4)), "shape \\(2, 3, 4\\).*two dimensions"),
        (np.zeros((20, 3)), "X has 3 columns, and the model has 2: flow, pressure"),
        (np.array([["a", "b"]] * 20), "X holds texts \\(dtype <U1\\) and no numbers"),
        (np.array([[1, {}]] * 20, dtype=object), "X holds objects"),
        (np.zeros((20, 2), dtype=complex), "X holds complex numbers"),
        (np.zeros((20, 2), dtype="M8[s]"), "X holds dates"),
        (np.full((20, 2), np.inf), "row 1, column `flow` is infinite"),
        (np.full((20, 2), 1e39), "row 1, column `flow` is infinite or beyond the range of 32-bit numbers"),
        (np.zeros((0, 2)), "longer than the data \\(0 rows\\)"),
        (np.zeros((7, 2)), "a window of 8 samples is longer than the data \\(7 rows\\)"),
    ],
)
def test_what_is_no_table_of_the_model_is_refused(pump, X, words):
    with pytest.raises(ValueError, match=words):
        Model(pump).score(X)


def test_arrow_columns_that_hold_no_numbers_are_named(pump):
    pyarrow = pytest.importorskip("pyarrow")
    good = [1.0] * 20
    for column, what in [
        (["a"] * 20, "texts"),
        ([b"a"] * 20, "bytes"),
        ([datetime.datetime(2026, 1, 1)] * 20, "times"),
        (pyarrow.array(["a"] * 20).dictionary_encode(), "categories"),
        ([[1.0]] * 20, "Arrow's type"),
    ]:
        with pytest.raises(ValueError, match=f"column `pressure` holds {what}.*no numbers"):
            Model(pump).score(pyarrow.table({"flow": good, "pressure": column}))
    with pytest.raises(ValueError, match="lacks 1 of the model's 2 columns: `pressure`"):
        Model(pump).score(pyarrow.table({"flow": good, "speed": good}))
    with pytest.raises(ValueError, match="one column and no table"):
        rows_of(pyarrow.chunked_array([good]))


def test_a_fit_refuses_what_cannot_be_fitted(tmp_path):
    X = pump_log(100, 1)
    for settings, words in [
        ({"window": 0}, "window is 0: give at least 1"),
        ({"window": 200}, "a window of 200 samples is longer than the data \\(100 rows\\)"),
        ({"likelihood": "poisson"}, "unknown variant `poisson`"),
        ({"front_end": "mel:32"}, "mel"),
        ({"condition": ["speed"]}, "speed"),
        ({"epochs": -1}, "invalid value"),
        ({"beta": "much"}, "invalid type"),
        ({"precision": "int4"}, "precision int4: give int8 or f32"),
    ]:
        with pytest.raises(ValueError, match=words):
            VaeDetector(**{**SMALL, **settings}).fit(X)
    VaeDetector(run=tmp_path / "run", **SMALL).fit(X)
    with pytest.raises(ValueError, match="holds a run"):
        VaeDetector(run=tmp_path / "run", **SMALL).fit(X)
    VaeDetector(run=tmp_path / "run", replace=True, **SMALL).fit(X)


def test_a_model_that_cannot_be_read_says_why(pump, tmp_path):
    content = pump.read_bytes()
    newer = bytearray(content)
    newer[4] += 1
    for changed, words in [
        (bytes(newer), "version"),
        (content[:-3], "truncated"),
        (b"PK\x03\x04" + content, "not a model file"),
        (content[:600] + bytes([content[600] ^ 1]) + content[601:], "."),
    ]:
        (tmp_path / "bad.vae").write_bytes(changed)
        with pytest.raises(ValueError, match=f"bad.vae cannot be used as a model.*{words}"):
            Model(tmp_path / "bad.vae")
        with pytest.raises(ValueError, match=words):
            Model.from_bytes(changed)
    with pytest.raises(FileNotFoundError, match="no.vae"):
        Model(tmp_path / "no.vae")
    with pytest.raises(OSError, match=str(tmp_path)):
        Model(tmp_path)


def test_a_detector_refuses_samples_that_are_none(pump):
    detector = Model(pump).detector()
    with pytest.raises(ValueError, match="a sample of 3 values, where the model has 2 columns"):
        detector.push([1, 2, 3])
    with pytest.raises(ValueError, match="lacks pressure"):
        detector.push({"flow": 1.0})
    with pytest.raises(ValueError, match="no rate of alarms"):
        Model(pump).detector(alarms="often")
    assert detector.push([np.nan, 4.0]) is None


def test_a_file_that_is_there_is_kept(windowed, pump):
    before = pump.read_bytes()
    with pytest.raises(ValueError, match="pump.vae exists"):
        windowed.export(pump)
    windowed.export(pump, replace=True, c_array=pump.with_suffix(".h"))
    assert pump.read_bytes() == before and "pump_LEN".lower() in pump.with_suffix(".h").read_text().lower()
