"""Nothing is ever unpickled, evaluated or run: in the library's text, and in what it does with files that try."""

import ast
import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import novkit
from novkit.checkpoints import CheckpointFolder
from novkit.data import load
from novkit.data.medmnist import load_medmnist, read_numbers
from novkit.data.store import open_store
from novkit.data.tables import select_rows
from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.methods import load_detector
from novkit.results import load_examples, load_scores
from tests.hostile_stored import record as make_record

LIBRARY = Path(novkit.__file__).parent
FOLDERS = ("novkit", "data_scripts", "notebooks", "notebooks/assignments", "results", "benchmarks", "docs")
CODE = sorted({file for folder in FOLDERS for file in (LIBRARY.parent / folder).rglob("*.py")})
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load", "pandas.read_pickle", "os.system"}
WITH_PICKLES = {"load", "save", "read_array", "write_array"}  # of NumPy, where allow_pickle=False is not said
HARMLESS = {"joblib.cpu_count"}  # taken by name out of one of MODULES
TORCHVISION = {"CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "DatasetFolder", "ImageFolder"}


# ---- in the text -----------------------------------------------------------------------------------------------------------


def misdeeds(text: str) -> Iterator[str]:
    """What a module does that could run what is in a file."""
    tree = ast.parse(text)
    full = {"np": "numpy", "pd": "pandas"}  # what a name stands for, whatever it was imported as
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from _taken(node)
        elif isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            yield from _called(node, ".".join(filter(None, [full.get(first, first), rest])).removeprefix("builtins."))


def _taken(node: ast.ImportFrom) -> Iterator[str]:
    """Taken out of its module, a function could be handed on under another name."""
    module = node.module or ""
    if module.split(".")[0] in MODULES and not {f"{module}.{name.name}" for name in node.names} <= HARMLESS:
        yield f"from {module} import"
    for name in node.names:
        if f"{module}.{name.name}".removeprefix("builtins.") in CALLS or (module.split(".")[0] == "numpy" and name.name in WITH_PICKLES):
            yield f"from {module} import {name.name}"
        if name.name == "*" and module.split(".")[0] in ("numpy", "torch", "pandas", "os", "builtins"):
            yield f"from {module} import *"


def _called(node: ast.Call, name: str) -> Iterator[str]:
    options = {word.arg: word.value.value for word in node.keywords if word.arg and isinstance(word.value, ast.Constant)}
    first, last = name.split(".")[0], name.split(".")[-1]
    if name in CALLS:
        yield f"{name}()"
    if first == "numpy" and last in WITH_PICKLES and options.get("allow_pickle") is not False:
        yield f"{name}() without allow_pickle=False"
    if options.get("allow_pickle") is True or options.get("shell") is True:
        yield f"{name}(allow_pickle or shell)"
    if name.startswith("torchvision.datasets.") and last in TORCHVISION:
        yield f"{name}()"


def test_every_folder_with_modules_is_looked_at():
    there = {file.parent.name for file in LIBRARY.parent.glob("*/*.py")} - {"tests"}
    assert there <= set(FOLDERS)
    assert not list(LIBRARY.parent.glob("*.py"))
    for folder in FOLDERS:
        assert any(file.is_relative_to(LIBRARY.parent / folder) for file in CODE), folder


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(LIBRARY.parent).as_posix())
def test_no_module_can_run_what_is_in_a_file(file):
    assert list(misdeeds(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "from joblib import cpu_count, load", "torch.load(f)", "np.load(f)",
     "np.load(f, allow_pickle=True)", "eval(x)", "exec(x)",
     "import yaml.constructor", "subprocess.run(x, shell=True)", "pd.read_pickle(f)", "torchvision.datasets.CIFAR10(f)",
     "from pickle import loads as read", "from numpy import load", "from numpy import load as read", "from torch import load",
     "from torch.jit import load", "from pandas import read_pickle", "from os import system", "from builtins import eval as read",
     "from numpy.lib.format import read_array", "from numpy import *", "import torch as t; t.load(f)", "import numpy; numpy.load(f)",
     "from torch import jit; jit.load(f)", "import builtins; builtins.exec(f)", "import pandas as p; p.read_pickle(f)",
     "from torchvision import datasets; datasets.CIFAR10(f)", "from torchvision.datasets import CIFAR10; CIFAR10(f)"],
)  # fmt: skip
def test_such_lines_are_found(line):
    assert list(misdeeds(f"def f(x):\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    ["np.load(f, allow_pickle=False)", "from numpy import asarray", "from torch import Tensor", "from safetensors.torch import load, save",
     "from novkit.data import load; load(f)", "import numpy as n; n.save(f, x, allow_pickle=False)", "re.compile(x)", "json.load(f)"],
)  # fmt: skip
def test_and_others_are_not(line):
    assert not list(misdeeds(f"def f(x):\n    {line}\n"))


# ---- in what it does -------------------------------------------------------------------------------------------------------


class Burglar:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path) -> Iterator[Path]:
    """Must not be there when the test is over."""
    yield tmp_path / "unpickled"
    assert not (tmp_path / "unpickled").exists()


def pickled_npz(trace: Path, *names: str) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: np.array([Burglar(trace)], dtype=object) for name in names}
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def test_the_trap_works(tmp_path):
    """Else the tests below could not fail."""
    (tmp_path / "x.npz").write_bytes(pickled_npz(tmp_path / "there", "x"))
    np.load(tmp_path / "x.npz", allow_pickle=True)["x"]
    assert (tmp_path / "there").exists()


def test_medmnist(tmp_path, trace):
    names = [f"{part}_{what}" for part in ("train", "val", "test") for what in ("images", "labels")]
    (tmp_path / "x.npz").write_bytes(pickled_npz(trace, *names))
    for read in (load, load_medmnist, read_numbers):
        with pytest.raises(DataError, match="is pickled, and nothing is unpickled here"):
            read(tmp_path / "x.npz")
    (tmp_path / "x.npz").write_bytes(pickle.dumps(Burglar(trace)))  # np.load would take this one for a plain pickle
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        load(tmp_path / "x.npz")


def test_scores_and_examples(tmp_path, trace):
    record = make_record(scores="scores/x.npz")
    (tmp_path / "scores").mkdir()
    (tmp_path / "examples").mkdir()
    for content in (pickled_npz(trace, "id", "score"), pickle.dumps(Burglar(trace))):
        (tmp_path / "scores/x.npz").write_bytes(content)
        (tmp_path / "examples" / f"{record.run}.npz").write_bytes(content)
        for read in (load_scores, load_examples):
            with pytest.raises(StoredFileError, match="cannot be read"):
                read(tmp_path, record)


@pytest.mark.parametrize("kind", ["zip", "pickle"])
def test_weights_that_are_torchs_own_pickles(tmp_path, trace, kind):
    buffer = io.BytesIO()
    torch.save({"mean": Burglar(trace)}, buffer, _use_new_zipfile_serialization=kind == "zip")
    meta = {"format": 1, "method": "pixel_zscore", "settings": {}, "seed": 0, "false_positive_rate": 0.05, "image_shape": [1, 8, 8],
            "threshold": 1.0, "extra": {}}  # fmt: skip
    (tmp_path / "detector").mkdir()
    (tmp_path / "detector/detector.json").write_text(json.dumps(meta))
    (tmp_path / "detector/weights.safetensors").write_bytes(buffer.getvalue())
    with pytest.raises(StoredFileError, match="is damaged"):
        load_detector(tmp_path / "detector")
    folder = tmp_path / "run/epoch_0000"
    folder.mkdir(parents=True)
    (folder / "state.json").write_bytes(pickle.dumps(Burglar(trace)))
    (folder / "weights.safetensors").write_bytes(buffer.getvalue())
    with pytest.warns(UserWarning, match="is damaged"):
        assert CheckpointFolder(tmp_path / "run", {}).read() is None


def test_prepared_data(tmp_path, trace):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x/images.npy", np.array([Burglar(trace)], dtype=object), allow_pickle=True)
    entry = {"bytes": (tmp_path / "x/images.npy").stat().st_size}
    manifest = {"format": 1, "files": {"images.npy": entry}, "columns": {}, "dataset": {"name": "x"}}
    (tmp_path / "x/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoredFileError, match="is damaged"):
        open_store(tmp_path / "x")


def test_a_picture_that_is_a_pickle_or_a_program(tmp_path, trace):
    """EPS is a program that Pillow hands to Ghostscript; it is no format that is read here."""
    from novkit.data.reading import read_image

    (tmp_path / "a.png").write_bytes(pickle.dumps(Burglar(trace)))
    (tmp_path / "b.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(" + bytes(trace) + b") (w) file closefile\n%%EOF\n"
    )
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match="cannot be read as an image"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    "where",
    ["__import__('os').system('x')", "().__class__.__bases__", "label.str.len() > 1", "@pd.read_csv('x')", "[x for x in label]",
     "age if 1 else 2", "(lambda: 1)()", "f'{age}' == '1'", "label == `x`", "age > 1; import os", "age := 1"],
)  # fmt: skip
def test_a_filter_is_no_program(where):
    import pandas as pd

    with pytest.raises(NovkitError):
        select_rows(pd.DataFrame({"age": [1, 2], "label": ["a", "b"]}), where)


def test_settings_are_data(tmp_path, trace):
    """A zip in place of JSON, and JSON that names a class, stay what they are."""
    with zipfile.ZipFile(tmp_path / "detector.json", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(StoredFileError, match="is damaged"):
        load_detector(tmp_path)
    (tmp_path / "detector.json").write_text('{"format": 1, "method": "os.system", "py/object": "pathlib.Path"}')
    with pytest.raises(StoredFileError, match="is damaged"):
        load_detector(tmp_path)
