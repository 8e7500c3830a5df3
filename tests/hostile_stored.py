"""How the files and folders that novkit itself wrote are read back after somebody has changed them."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from novkit.checkpoints import Checkpoint, CheckpointFolder, _digest
from novkit.data.arrays import read_npz
from novkit.data.store import Sample, open_store, write_store
from novkit.errors import StoredFileError
from novkit.methods import load_detector, make_detector
from novkit.patchgan.masking import PatchGrid
from novkit.report import write_report
from novkit.report.markdown import results_table
from novkit.results import Record, Scores, add_record, load_examples, load_history, load_results, load_scores, summary
from novkit.widgets import MarginExplorer, PatchExplorer, PatchRuns
from novkit.widgets.patch_view import PatchScores
from novkit.widgets.snapshots import GROUPS, Snapshots
from novkit.widgets.stored import StoredResults
from tests import hostile_files
from tests.conftest import blobs
from tests.hostile_damage import damaged, hostile_text
from tests.hostile_readers import is_dataset
from tests.test_properties import METHODS, TINY

Call = Callable[[], object]
_sound: dict[str, Path] = {}


def prepare(folder: Path) -> None:
    """Make what whole folders are damaged from."""
    _sound.update({name: folder / name for name in ("results", "checkpoint", "detector", "store", "explored")})
    _results(_sound["results"])
    _explored(_sound["explored"])
    _checkpoints().write(_checkpoint(0))
    _checkpoints().write(_checkpoint(1))
    for method in METHODS:
        detector = make_detector(method, changes=TINY.get(method, {}), device="cpu", progress=False)
        detector.fit(blobs(24, size=16), blobs(8, size=16, seed=1), X_threshold=blobs(8, size=16, seed=2))
        detector.save(_sound["detector"] / method)
    frame = pd.DataFrame(
        {"id": list("abc"), "label": ["x", "x", "y"], "group": list("abc"), "path": "", "age": [1, 2, 3], "part": [True] * 3}
    )
    samples = [Sample(np.full((1, 5, 5), k, np.uint8), np.zeros((5, 5), bool)) for k in range(3)]
    described = {"name": "made", "normal": "x", "source": "", "licence": "", "extra": {}}
    write_store(_sound["store"], frame, samples, described, made_of={"options": {}, "stamp": ""}, progress=False)


def record(**changes: object) -> Record:
    values = {"method": "tend", "dataset": "made", "setup": "one_vs_rest", "normal": ("a",), "novel": ("b",), "seed": 1, "profile": "quick",
              "auroc": 0.8, "auroc_low": 0.7, "auroc_high": 0.9, "average_precision": 0.8, "fpr95": 0.5, "n_train": 9, "n_test": 8,
              "seconds_fit": 1.0, "seconds_score": 0.5, "peak_memory_mb": 100.0, "data_fingerprint": "f", "synthetic": True,
              "device": "cpu", "versions": {"torch": "2"}, "settings": {"lr": 0.1, "sizes": [1, 2]}}  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def _results(folder: Path) -> None:
    for method in ("tend", "autoencoder"):
        y, names = np.arange(8) % 2, np.array([f"i{k}" for k in range(8)])
        scores = Scores(id=names, group=names, label=y, condition=np.array(["a", "b"])[y], score=np.linspace(0, 1, 8) + y, area=y / 4.0)
        epochs = [{"epoch": k, "phase": "ab"[k // 2], "loss": 1.0, "val_loss": 2, "best": True} for k in range(4)]
        add_record(folder, record(method=method), scores, history=epochs, examples=panel(scores))


def panel(scores: Scores) -> dict[str, np.ndarray]:
    """What a Patch-GAN stores of its test images."""
    rows = np.argsort(scores.label, kind="stable")[2:6]
    maps = blobs(4, size=16)[:, 0]
    alike = {name: blobs(4, size=16, seed=k) for k, name in enumerate(("images", "reconstructions", "masked"))}
    own = {"labels": scores.condition[rows], "scores": scores.score[rows], "threshold": np.float64(1)}
    return {**alike, **own, "maps": maps.astype(np.float16), "masks": maps > 0.5, "patch_scores": np.ones((4, 16), np.float32)}


def _checkpoints(folder: Path | None = None) -> CheckpointFolder:
    return CheckpointFolder(folder or _sound["checkpoint"], {"settings": {"lr": 0.1}, "seed": 0})


def _checkpoint(epoch: int) -> Checkpoint:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weights = dict(module.state_dict())
    return Checkpoint(epoch, 0, 1.0, weights, weights, {"main": optimizer.state_dict()}, [{"epoch": 0, "loss": 1.0}])


# ---- folders that novkit wrote -------------------------------------------------------------------------------------------


def _damage_one(folder: Path, rng: np.random.Generator) -> None:
    """One of the files in a folder, JSON in its values, the others in their bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = files[rng.integers(len(files))]
    if file.suffix == ".json":
        file.write_bytes(hostile_text(json.loads(file.read_text()), rng))
    else:
        file.write_bytes(damaged([file.read_bytes()], rng))


def _copied(name: str, room: Path, part: str = "") -> Path:
    shutil.copytree(_sound[name] / part, room / name)
    return room / name


def results(kind: str, index: int, room: Path) -> Call:
    folder, rng = _copied("results", room), np.random.default_rng([index, 1])
    content = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_bytes(hostile_text(content, rng))

    def read() -> None:
        records = load_results(folder)
        for one in records:
            assert one == Record(**dataclasses.asdict(one))
            assert one.run
        summary(records)
        if records:
            results_table(records, "command").encode()

    return read


def scores(kind: str, index: int, room: Path) -> Call:
    folder, rng = _copied("results", room), np.random.default_rng([index, 2])
    run = load_results(folder)[0]
    for file in ((folder / run.scores), folder / "examples" / f"{run.run}.npz"):
        file.write_bytes(hostile_files.hostile(kind, index))
    if index % 4 == 0:
        _damage_one(folder / "curves", rng)

    def read() -> None:
        if index % 4 == 0:
            load_history(folder, run)
        if index % 4 == 1:
            load_examples(folder, run)
            return
        found = load_scores(folder, run)
        assert len(found.id) == len(found.group) == len(found.label) == len(found.score) == len(found)
        assert np.isfinite(found.score).all()

    return read


def checkpoint(kind: str, index: int, room: Path) -> Call:
    folder, rng = _copied("checkpoint", room), np.random.default_rng([index, 3])
    newest = folder / "epoch_0001"
    _damage_one(newest, rng)
    if rng.random() < 0.7:
        _with_digests(newest)

    def read() -> None:
        found = _checkpoints(folder).read()
        if found is None or found.epoch == 0:
            raise StoredFileError("The newest is passed over.")
        assert isinstance(found.epoch, int)
        assert all(isinstance(tensor, torch.Tensor) for tensor in (*found.weights.values(), *found.best.values()))

    return read


def _with_digests(folder: Path) -> None:
    """As somebody would damage a checkpoint on purpose."""
    try:
        state = json.loads((folder / "state.json").read_text())
        state["digests"] = {part: _digest((folder / f"{part}.safetensors").read_bytes()) for part in state["digests"]}
        state.pop("digest", None)
        (folder / "state.json").write_text(json.dumps({**state, "digest": _digest(json.dumps(state).encode())}))
    except Exception:  # then it stays as it is
        return


@cache
def _image() -> np.ndarray:
    return blobs(2, size=16, seed=5)


def detector(kind: str, index: int, room: Path) -> Call:
    folder = _copied("detector", room, METHODS[index % len(METHODS)])
    _damage_one(folder, np.random.default_rng([index, 4]))

    def read() -> None:
        found = load_detector(folder, device="cpu")
        if found.image_shape_ == (1, 16, 16):
            assert np.isfinite(found.novelty_score(_image())).all()
            assert found.predict(_image()).shape == (2,)
            if found.has_map:
                assert found.novelty_map(_image()).shape == (2, 16, 16)

    return read


def store(kind: str, index: int, room: Path) -> Call:
    folder = _copied("store", room)
    rng = np.random.default_rng([index, 5])
    _damage_one(folder, rng)
    if rng.random() < 0.5:
        _with_sizes(folder)
    return lambda: is_dataset(open_store(folder))


def _with_sizes(folder: Path) -> None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, entry in manifest["files"].items():
            entry["bytes"] = (folder / name).stat().st_size
        (folder / "manifest.json").write_text(json.dumps(manifest))
    except Exception:  # then it stays as it is
        return


def report(kind: str, index: int, room: Path) -> Call:
    folder, rng = _copied("results", room), np.random.default_rng([index, 6])
    run = load_results(folder)[index % 2]
    if index % 3 == 0:
        _damage_one(folder / "curves", rng)
    elif index % 3 == 1:
        _with_another_array(folder / "examples" / f"{run.run}.npz", rng)
    else:
        _damage_one(folder, rng)

    def read() -> None:
        write_report(folder, n_resamples=20)
        stored = StoredResults(folder)
        for case in stored.cases("made"):
            for method in stored.methods("made", case, 1):
                stored.pictures(stored.run("made", case, 1, method), range(8))

    return read


def _with_another_array(file: Path, rng: np.random.Generator) -> None:
    arrays = read_npz(file)
    name = sorted(arrays)[rng.integers(len(arrays))]
    value = np.atleast_1d(arrays.pop(name))
    others = [value[:1], value[..., None], value.astype(str), np.zeros_like(value, float) + np.nan, np.array(1), value[:0], None,
              np.full(value.shape, "\ud800"), np.full(value.shape, 1e39), np.full(value.shape, 255, np.uint8), np.asarray(value)[..., :3],
              np.full(value.shape, np.inf)]  # fmt: skip
    other = others[rng.integers(len(others))]
    np.savez(file, **(arrays if other is None else {**arrays, name: other}))


def explored(kind: str, index: int, room: Path) -> Call:
    """What the explorers keep: snapshots of a training, and patch scores of several runs."""
    rng, file = np.random.default_rng([index, 8]), room / "x.npz"
    what = ("snapshots.npz", "patch_runs.npz")[index % 2]
    shutil.copy(_sound["explored"] / what, file)
    if index % 4 < 2:
        _with_another_array(file, rng)
    else:
        file.write_bytes(damaged([file.read_bytes()], rng))

    def read() -> None:
        if index % 2:
            runs = PatchRuns.load(file)
            patches = PatchExplorer(runs.scores, runs.images, runs.masks, labels=runs.labels)
            patches.change(run=max(runs.scores), image=len(runs.images) - 1, lit=2)
        else:
            snapshots = Snapshots.load(file)
            margin = MarginExplorer(snapshots)
            margin.change(step=len(snapshots.epochs) - 1, image=len(snapshots.group) - 1)

    return read


def _explored(folder: Path) -> None:
    folder.mkdir()
    rng, images = np.random.default_rng(0), np.asarray(blobs(6, size=16) * 255, dtype=np.uint8)
    group, label = np.repeat(GROUPS, 2), np.array(["normal", "normal", "turned", "turned", "a", "b"])
    Snapshots.of(range(3), rng.normal(size=(3, 6, 4)), np.zeros(4), 1.0, group, label, images).save(folder / "snapshots.npz")
    scores = {(side, 0.25): PatchScores(rng.random((6, (16 // side) ** 2)), PatchGrid.of((1, 16, 16), side)) for side in (4, 8)}
    PatchRuns(scores, images, images[:, 0] > 128, label, "made").save(folder / "patch_runs.npz")


READERS: dict[str, Callable[[str, int, Path], Call]] = {
    "results": results, "scores": scores, "checkpoint": checkpoint, "detector": detector, "store": store, "report": report,
    "explored": explored,
}  # fmt: skip
