"""CONTRIBUTING.md is followed word for word: its files are written, its changes made and its commands run, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("novkit", "tests", "docs", "data_scripts", "notebooks", "pyproject.toml", "jupytext.toml")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w./-]+)`:\s*\Z")


class Block(NamedTuple):
    """One block of code of the guide; file: the path that the sentence before it ends with."""

    language: str
    file: str | None
    code: str


def blocks_of(section: str) -> list[Block]:
    found, end = [], 0
    for match in BLOCK.finditer(section):
        named = NAMED.search(section[end : match.start()])
        found.append(Block(match[1], named[1] if named else None, match[2]))
        end = match.end()
    return found


RECIPES = {title: blocks_of(text) for title, text in re.findall(r"^## (Add .*?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)}


def changed(folder: Path, diff: str) -> dict[str, str]:
    """What files look like after a diff; every hunk must fit at exactly one place."""
    texts: dict[str, str] = {}
    for part in re.split(r"^--- a/", diff, flags=re.MULTILINE)[1:]:
        file, _, hunks = part.partition("\n")
        text = texts.get(file) or (folder / file).read_text(encoding="utf-8")
        for hunk in re.split(r"^@@.*\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
            assert text.count(old) == 1, f"{file} has no one place for:\n{old}"
            text = text.replace(old, new)
        texts[file] = text
    return texts


def test_the_guide_has_its_three_recipes_and_every_block_has_its_use():
    assert [title.split()[-1] for title in RECIPES] == ["set", "method", "notebook"]
    for blocks in RECIPES.values():
        assert blocks[-1].language == "console"
        for block in blocks:
            assert (block.language == "python") == (block.file is not None), block.code[:200]
            assert block.language in ("python", "diff", "console")


@pytest.mark.parametrize("title", RECIPES)
def test_what_the_guide_adds_is_new_and_what_it_changes_is_there(title):
    for block in RECIPES[title]:
        assert block.file is None or not (ROOT / block.file).exists()
        if block.language == "diff":
            assert changed(ROOT, block.code)


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_following_a_recipe_word_for_word(title, tmp_path):
    project = tmp_path / "project"
    for name in COPIED:
        project.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, project)
    path = os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "NOVKIT_RELIABILITY"))}
    environment |= {"PYTHONPATH": path, "PATH": programs, "NOVKIT_DATA": str(tmp_path / "data"), "CUDA_VISIBLE_DEVICES": ""}

    def run(command: str) -> str:
        done = subprocess.run(["sh", "-e", "-c", command], cwd=project, env=environment, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    for block in RECIPES[title]:
        if block.file is not None:
            (project / block.file).write_text(block.code, encoding="utf-8")
            run(f"python -m ruff check {block.file} && python -m ruff format --check {block.file}")
        elif block.language == "diff":
            for file, text in changed(project, block.code).items():
                (project / file).write_text(text, encoding="utf-8")
        else:
            for command in block.code.splitlines():
                said = run(command)
                assert "-m pytest" not in command or re.search(r"\b[1-9]\d* passed", said), f"{command} tests nothing:\n{said}"
