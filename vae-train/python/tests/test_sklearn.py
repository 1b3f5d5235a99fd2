"""The detector as scikit-learn has detectors."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from conftest import SMALL, named, pump_log
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_train import VaeDetector, _native
from vae_train._detector import _OWN

#: Settings of the program's that an array has no use for: how files are read, and columns that are left out of them.
OF_FILES = {name for section, name in _native.settings() if section == "reading"} | {"label", "ignore"}


@parametrize_with_checks([VaeDetector(**SMALL)])
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_every_setting_is_a_parameter_and_is_documented():
    parameters = inspect.signature(VaeDetector).parameters
    settings = {name for _, name in _native.settings()} - OF_FILES
    assert set(parameters) == settings | set(_OWN)
    documented = VaeDetector.__doc__.split("Parameters\n")[1].split("Attributes\n")[0]
    assert [name for name in parameters if name not in documented] == []


def test_the_signs_and_the_thresholds_of_both_conventions(windowed):
    X = named(np.r_[pump_log(300, 5), pump_log(100, 6, clogged=1.0)])
    scores, decisions = windowed.score_samples(X), windowed.decision_function(X)
    np.testing.assert_array_equal(decisions, scores - windowed.offset_)
    np.testing.assert_array_equal(windowed.predict(X), np.where(scores < windowed.offset_, -1, 1))
    assert scores[:300].mean() > scores[320:].mean() and windowed.predict(X)[320:].mean() < 0
    assert windowed.threshold_ == -windowed.offset_ == -windowed.model_.threshold
    assert len(windowed.decision_scores_) == 1500
    np.testing.assert_array_equal(windowed.labels_, windowed.decision_scores_ > windowed.threshold_)


def test_a_row_has_the_score_of_the_newest_window_that_has_ended(windowed):
    X = pump_log(50, 5)
    found, windows = windowed.score_samples(named(X)), windowed.model_.score(X, samples=0)
    assert len(found) == 50 and windows["row"].tolist() == list(range(7, 50, 4))
    for row, score in enumerate(found):
        ended = np.flatnonzero(windows["row"] <= row)
        assert score == windows["score"][ended[-1] if len(ended) else 0]


def test_it_works_in_a_pipeline_and_in_a_cross_validation():
    X = np.r_[pump_log(400, 1), pump_log(100, 2, clogged=1.0)]
    y = np.r_[np.ones(400), -np.ones(100)]
    shuffled = np.random.default_rng(0).permutation(500)
    pipeline = make_pipeline(StandardScaler(), VaeDetector(**{**SMALL, "epochs": 10}))
    scorer = make_scorer(roc_auc_score, response_method="decision_function")
    scores = cross_val_score(pipeline, X[shuffled], y[shuffled], cv=3, scoring=scorer)
    assert scores.shape == (3,) and scores.min() > 0.5
    assert pipeline.fit(X[:400]).predict(X).shape == (500,)


def test_a_clone_has_the_settings_and_a_pickle_the_model_and_its_run(windowed, tmp_path):
    assert clone(windowed).get_params() == windowed.get_params()
    with pytest.raises(NotFittedError):
        clone(windowed).predict(named(pump_log(50, 1)))
    copy = pickle.loads(pickle.dumps(windowed))
    assert copy.run_.path != windowed.run_.path
    X = named(pump_log(50, 5))
    np.testing.assert_array_equal(copy.score_samples(X), windowed.score_samples(X))
    copy.export(tmp_path / "copy.vae")
    assert (tmp_path / "copy.vae").read_bytes() == windowed.model_.to_bytes()


def test_the_same_seed_gives_the_same_model_and_another_one_another():
    X = pump_log(300, 1)
    models = [VaeDetector(random_state=seed, **SMALL).fit(X).model_ for seed in (None, 0, 1, np.random.RandomState(3))]
    first, same, *others = [model.fingerprint for model in models]
    assert first == same and len({first, *others}) == 3


def test_a_calibration_sets_the_threshold_and_says_what_it_is_worth(tmp_path):
    detector = VaeDetector(**SMALL).fit(pump_log(1000, 1))
    before = detector.offset_
    with pytest.raises(ValueError, match="is what the model was trained on"):
        detector.calibrate(pump_log(1000, 1), alarms="1/day", rate=1.0)
    with pytest.raises(ValueError, match="1/fortnight.*is no rate of alarms"):
        detector.calibrate(pump_log(1500, 2), alarms="1/fortnight")
    with pytest.raises(ValueError, match="the least value must be below the largest"):
        detector.calibrate(pump_log(1500, 2), ranges={"x0": (3, 3)})
    assert detector.offset_ == before and detector.calibration_ is None
    detector.calibrate(pump_log(2500, 2), alarms="1/hour", votes=(1, 2), ranges={"x0": (0, 60)}, force=True)
    assert detector.offset_ != before and detector.offset_ == np.float32(detector.calibration_["threshold"])
    assert detector.calibration_["windows"] == 2500
    assert any("one row a second is assumed" in note for note in detector.notes_)
    assert detector.model_.sample_rate == 1.0
    page = detector.report(tmp_path / "report.html", pump_log(200, 3), np.repeat([0, 1], 100))
    assert page["calibration"]["windows"] == 2500 and page["evaluation"] is not None
    assert "<html" in (tmp_path / "report.html").read_text()[:200]
    with pytest.raises(ValueError, match="report.html exists"):
        detector.report(tmp_path / "report.html")


def test_pyod_takes_it_for_one_of_its_own():
    pytest.importorskip("pyod", reason="PyOD's conventions are tried where PyOD is installed")
    from vae_train.pyod import PyodDetector

    X = np.r_[pump_log(360, 1), pump_log(40, 2, clogged=1.0)]
    detector = PyodDetector(VaeDetector(**SMALL), contamination=0.1).fit(X)
    assert set(detector.labels_) == {0, 1} and detector.labels_.sum() == 40
    np.testing.assert_array_equal(detector.predict(X), detector.decision_function(X) > detector.threshold_)
    assert detector.predict_proba(X).shape == (400, 2)
    assert clone(detector).get_params()["contamination"] == 0.1
