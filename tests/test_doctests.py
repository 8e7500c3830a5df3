"""The examples in docstrings say what happens."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WITH_EXAMPLES = [file for file in sorted((ROOT / "novkit").rglob("*.py")) if ">>> " in file.read_text(encoding="utf-8")]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=map(module_of, WITH_EXAMPLES))
def test_examples(file, capsys):
    module = importlib.import_module(module_of(file))
    failed, tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert tried
    assert not failed, capsys.readouterr().out


def test_what_a_newcomer_meets_first_has_examples():
    first = {"data", "data.setups", "methods", "evaluation", "images", "seeding", "tend.losses", "patchgan.ranking"}
    assert {f"novkit.{name}" for name in first} <= set(map(module_of, WITH_EXAMPLES))


def test_a_wrong_example_is_noticed():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None).failed == 1
