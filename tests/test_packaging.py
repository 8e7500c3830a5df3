"""What is handed on: the wheel, its types, and the files that say what it is and who made it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import novkit
from novkit import errors

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "novkit").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

INHERITED = ("forward", "loss", "optimizers", "validate")  # said once, by torch and by Objective
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.NovkitError)}


def definitions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions, classes and methods; what is inside a function is nobody else's."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_is_public_has_types_and_says_what_it_is(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in definitions(tree):
        attribute = any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)  # its class says what it is
        assert ast.get_docstring(node) or attribute or node.name in INHERITED, f"{node.name} does not say what it is"
        if isinstance(node, ast.FunctionDef):
            given = node.args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
            untyped = [argument.arg for argument in named if argument.annotation is None and argument.arg not in ("self", "cls")]
            assert node.returns is not None, f"{node.name} does not say what it returns"
            assert not untyped, f"{node.name}: {untyped}"


def said(tree: ast.Module | ast.ClassDef, above: str = "") -> Iterator[tuple[ast.FunctionDef, str]]:
    """Public functions and methods, and those with names such as __init__, each with its docstring and its class's."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from said(node, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name.endswith("__")):
            yield node, f"{ast.get_docstring(node) or ''}\n{above}"


def raised(body: list[ast.AST]) -> set[str]:
    """Errors of novkit that a function's own body raises; what a function inside it raises is that one's."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(ast.unparse(node.exc.func))
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            found |= raised(list(ast.iter_child_nodes(node)))
    return found & ERRORS


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_is_public_names_the_errors_it_raises(file):
    for node, text in said(ast.parse(file.read_text(encoding="utf-8"))):
        missing = {name for name in raised(node.body) if name not in text}
        assert not missing or "Raises as" in text, f"{node.name} (line {node.lineno}) does not say that it raises {missing}"


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_says_that_it_is_typed(tmp_path):
    shutil.copytree(ROOT / "novkit", tmp_path / "project" / "novkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "project")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = subprocess.run(command, cwd=tmp_path / "project", capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {file.relative_to(ROOT).as_posix() for file in (*MODULES, ROOT / "novkit/py.typed")}
    assert wanted <= names
    assert {name.split("/")[0] for name in names} == {"novkit", f"novkit-{novkit.__version__}.dist-info"}


def test_one_version_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert newest is not None
    assert {PROJECT["version"], novkit.__version__, str(CITATION["version"]), newest[1]} == {novkit.__version__}


def test_citation_names_novkit_and_both_papers_as_the_readme_does():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION.keys() >= {"message", "title", "authors"}
    assert CITATION["license"] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{PROJECT['license']} License")
    assert len(CITATION["references"]) == 2
    for paper in CITATION["references"]:
        assert paper.keys() >= {"type", "title", "authors"}
        assert paper["title"].casefold() in readme.casefold()
        assert ", ".join(author["family-names"] for author in paper["authors"]) in readme
        assert str(paper["year"]) in readme
        (number,) = [identifier["value"].removeprefix("arXiv:") for identifier in paper["identifiers"]]
        assert f"arXiv {number}" in readme
        (ROOT / paper["notes"].split()[-1].rstrip(".").replace(".", "/") / "detector.py").read_bytes()  # the method it belongs to
