"""What is written of the package is so."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, pump_log

import vae_train
from vae_train import VaeDetector, _native

HERE = Path(__file__).parents[1]


def test_the_stub_has_what_the_module_has():
    stub = ast.parse(Path(vae_train.__file__).with_name("_native.pyi").read_text())
    functions = {node.name: arguments(node) for node in stub.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    public = {name for name in dir(_native) if not name.startswith("_")}
    assert public == functions.keys() | classes.keys()
    for name, expected in functions.items():
        assert list(inspect.signature(getattr(_native, name)).parameters) == expected, name
    for name, node in classes.items():
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)} - {"__new__"}
        assert methods == {item for item in vars(getattr(_native, name)) if not item.startswith("_")}, name


def arguments(node: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in node.args.args]


@pytest.mark.parametrize("page", ["README.md", "../../docs/python.md"])
def test_the_examples_of_the_pages_run(page, tmp_path, monkeypatch):
    path = HERE / page
    if not path.exists():
        pytest.skip(f"{page} is not beside an installed package")
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    # Fits of the length that is written there take minutes.
    fit = VaeDetector.fit
    monkeypatch.setattr(VaeDetector, "fit", lambda self, X, y=None: fit(self.set_params(**SMALL), X, y))
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_everything_public_is_documented():
    for name in vae_train.__all__:
        item = getattr(vae_train, name)
        assert item.__doc__, name
        for member, value in vars(item).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, (property, classmethod))):
                assert inspect.getdoc(getattr(item, member)), f"{name}.{member}"


@pytest.mark.parametrize("module", ["_detector", "_model", "_progress"])
def test_the_examples_of_the_docstrings_run(module, pump):
    normal = np.random.default_rng(0).normal(size=(300, 3))
    names = {"pump": pump, "log": pump_log(200, 3), "normal": normal, "sys": sys}
    found = importlib.import_module(f"vae_train.{module}")
    result = doctest.testmod(found, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.attempted > 0 and result.failed == 0
