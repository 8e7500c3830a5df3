"""environment.yml, pyproject.toml and constraints.txt describe one environment."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.oldest import oldest, others

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def wanted() -> list[Requirement]:
    extras = [requirement for group in PROJECT["optional-dependencies"].values() for requirement in group]
    return [Requirement(text) for text in PROJECT["dependencies"] + extras]


def test_every_dependency_is_pinned_at_a_version_it_allows():
    pins = constraints()
    for requirement in wanted():
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_extras_are_the_documented_ones():
    assert set(PROJECT["optional-dependencies"]) == {"notebooks", "teach", "benchmarks", "dev"}
    notebooks = {Requirement(text).name for text in PROJECT["optional-dependencies"]["notebooks"]}
    assert {"jupyterlab", "ipywidgets", "anywidget"} <= notebooks
    assert {"nbgrader", "voila"} <= {Requirement(text).name for text in PROJECT["optional-dependencies"]["teach"]}


def test_conda_environment_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = next(item for item in environment["dependencies"] if isinstance(item, str) and item.startswith("python="))
    assert Version(python.split("=")[1]) in Requirement(f"python{PROJECT['requires-python']}").specifier
    (through_pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert through_pip == ["--constraint constraints.txt", "--editable .[notebooks]"]


def test_versions_of_torch_and_torchvision_fit_each_other():
    needed = [Requirement(text) for text in metadata.requires("torchvision") or [] if text.startswith("torch")]
    assert all(requirement.specifier.contains(metadata.version("torch")) for requirement in needed)
    assert needed


def test_this_environment_is_the_pinned_one():
    """Only where it was installed from constraints.txt: elsewhere (older torch, newer Python) the suite must run too."""
    pins = constraints()
    if metadata.version("torch").split("+")[0] != pins["torch"]:
        pytest.skip("another environment than constraints.txt's")
    for requirement in wanted():
        name = canonicalize_name(requirement.name)
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        assert installed == pins[name]


def test_make_targets_only_call_python_modules_and_novkit():
    recipes = [line.strip() for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if line.startswith("\t")]
    assert recipes
    for recipe in recipes:
        assert re.match(r"@?(\$\(BIN\)/python -m |\$\(BIN\)/novkit |\$\(PYTHON\) -m |\$\(INSTALL\) |echo )", recipe), recipe


def test_no_registry_address_is_written_down():
    for name in ("pyproject.toml", "constraints.txt", "environment.yml", "Makefile", ".ci/run"):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_oldest_torch_is_tried_at_the_versions_that_are_allowed():
    assert [Requirement(text).name for text in oldest()] == ["torch", "torchvision"]
    for text in oldest():
        allowed = next(requirement for requirement in wanted() if requirement.name == Requirement(text).name)
        (pinned,) = Requirement(text).specifier
        assert allowed.specifier.contains(pinned.version)
        assert not allowed.specifier.contains(str(Version(pinned.version).major) + f".{Version(pinned.version).minor - 1}.99")
    kept = {line.split("==")[0] for line in others().splitlines()}
    assert {"numpy", "jupyterlab"} <= kept
    assert kept.isdisjoint({"torch", "torchvision"})
