"""A small assignment, built as the real ones are, and submissions of it."""

import copy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from novkit.teaching.process import Limits, Worker
from novkit.teaching.submission import imported_modules

SCRIPT = '''\
# %% [markdown]
# # A small assignment

# %% kind="given"
import numpy as np
from novkit.teaching import course_generator
from sklearn.metrics import roc_auc_score

def centred(x):
    return x - x.mean()

# %% part="middle" kind="solution"
def middle(x):
    """The median of a list of numbers."""
    ### BEGIN SOLUTION
    return float(np.median(x))
    ### END SOLUTION

# %% part="middle" kind="tests" points=3
assert float(middle([3, 1, 2])) == 2, "The middle of 3, 1, 2 is 2: sort first."
### BEGIN HIDDEN TESTS
secret_draw = course_generator("middle", 1).normal(size=8)
assert abs(float(middle(secret_draw)) - float(np.median(secret_draw))) < 1e-9, "Of an even number, the middle is between two."
### END HIDDEN TESTS

# %% part="middle" kind="tests" points=2
### BEGIN HIDDEN TESTS
right = [float(middle(course_generator("middle", k).normal(size=5 + k % 2))) == float(
    np.median(course_generator("middle", k).normal(size=5 + k % 2))) for k in range(2, 6)]
### END HIDDEN TESTS
2.0 * sum(right) / len(right) if "right" in globals() else float(middle([1]) != 1)

# %%
# free: look at it
shown = 1 + 1

# %% part="ranking" kind="solution"
def ranking(y, s):
    """The AUROC of scores s for labels y."""
    ### BEGIN SOLUTION
    y, s = np.asarray(y), np.asarray(s)
    d = s[y == 1][:, None] - s[y == 0][None]
    return float((d > 0).mean() + 0.5 * (d == 0).mean())
    ### END SOLUTION

# %% part="ranking" kind="tests" points=4
assert abs(float(ranking([0, 1], [0.1, 0.9])) - 1) < 1e-9, "One pair in the right order is an AUROC of 1."
### BEGIN HIDDEN TESTS
g = course_generator("ranking", 1)
y, s = np.r_[0, 1, g.integers(2, size=40)], np.round(g.normal(size=42), 1)
assert np.allclose(float(ranking(y, s)), roc_auc_score(y, s)), "Half of the pairs of equal scores count."
### END HIDDEN TESTS

# %% [markdown] part="why" kind="manual" points=5
# Why is the median robust?
# ### BEGIN SOLUTION
# Model answer: half of the numbers may be anything.
# ### END SOLUTION
'''


def build_small(folder: Path) -> Path:
    """The small assignment's source, release and solution under a folder."""
    from notebooks.assignments.build import build

    (folder / "scripts").mkdir(parents=True)
    script = folder / "scripts" / "a1_small.py"
    script.write_text(SCRIPT, encoding="utf-8")
    build([script], folder)
    return folder


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    return build_small(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="session")
def source(course) -> NotebookNode:
    return nbformat.read(course / "source/a1_small/a1_small.ipynb", as_version=4)


@pytest.fixture(scope="session")
def release(course) -> NotebookNode:
    return nbformat.read(course / "release/a1_small/a1_small.ipynb", as_version=4)


LIMITS = Limits(cell=4, notebook=40, free=8, memory=2 << 30, wall=60)  # the machine may be busy with other things


@pytest.fixture(scope="session")
def worker(source):
    with Worker(imported_modules(source), LIMITS) as started:
        yield started


RIGHT = {
    "middle": "def middle(x):\n    return float(np.median(x))",
    "ranking": "def ranking(y, s):\n    return roc_auc_score(y, s)",
    "why": "Why is the median robust?\nBecause outliers do not move it.",
}


def named(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell of this grade_id."""
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


@pytest.fixture
def submit(release):
    """submit(middle="source", …): the release with these cells filled in, the others right; None leaves one as it is."""

    def make(first: str = "", **cells: str | None) -> NotebookNode:
        notebook = copy.deepcopy(release)
        for name, text in (RIGHT | cells).items():
            if text is not None:
                named(notebook, name).source = text
        if first:
            notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
        return notebook

    return make
