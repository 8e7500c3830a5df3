"""How each format that comes from elsewhere is read in earnest, and what must hold of what was read."""

import gzip
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from nbformat import NotebookNode
from PIL import Image

from novkit.data.archives import unpack
from novkit.data.dataset import ImageDataset
from novkit.data.folder import load_folder, read_mask
from novkit.data.formats import read_dicom, read_volume
from novkit.data.medmnist import load_medmnist, read_numbers, stream_images
from novkit.data.prepare import Files
from novkit.data.prepare.brats2019 import Subject, candidate_slices
from novkit.data.prepare.isic2016 import read_truth
from novkit.data.prepare.rsna_pneumonia import collect as collect_rsna
from novkit.data.prepare.torchvision_sets import collect as collect_idx
from novkit.data.reading import read_image
from novkit.teaching.handed_in import load_sources
from novkit.teaching.submission import Step, find_assignment, plan_of, read_notebook
from tests import hostile_files
from tests.data import layouts
from tests.hostile_damage import damaged, hostile_json, hostile_text

Call = Callable[[], object]
_sound: dict[str, Path] = {}


def prepare(folder: Path) -> None:
    """Make what whole folders are damaged from."""
    _sound.update({name: folder / name for name in ("pictures", "rsna")})
    _sound["pictures"].mkdir()
    for k in range(6):
        Image.fromarray(layouts.rng(k).integers(0, 256, (12, 12), dtype=np.uint8)).save(_sound["pictures"] / f"{k}.png")
    layouts.make_rsna(_sound["rsna"])


# ---- files ---------------------------------------------------------------------------------------------------------------


def _file(kind: str, index: int, room: Path, name: str) -> Path:
    file = room / name
    file.write_bytes(hostile_files.hostile(kind, index))
    return file


def image(kind: str, index: int, room: Path) -> Call:
    file = _file(kind, index, room, "x" + hostile_files.SUFFIX[kind])

    def read() -> None:
        if index % 4 == 3:
            mask = read_mask(room, file.name, 16, shape=(12, 14), resize=True)
            assert mask.shape == (12, 14)
            assert mask.dtype == bool
            return
        array = read_image(file, (9, 8) if index % 4 == 2 else None)
        assert array.dtype in (np.uint8, np.uint16)
        assert array.ndim == 3
        assert array.shape[0] in (1, 3)
        assert array.size > 0

    return read


def dicom(kind: str, index: int, room: Path) -> Call:
    file = _file(kind, index, room, "x.dcm")

    def read() -> None:
        array = read_dicom(file, bits=(None, 8, 16)[index % 3])
        assert array.dtype in (np.uint8, np.uint16)
        assert array.ndim == 3
        assert array.shape[0] in (1, 3)
        assert array.size > 0

    return read


def nifti(kind: str, index: int, room: Path) -> Call:
    file = _file(kind, index, room, "x" + hostile_files.SUFFIX[kind])

    def read() -> None:
        volume = read_volume(file)
        assert volume.values.ndim == 3
        assert volume.values.dtype == np.float32
        assert volume.values.size > 0
        assert np.isfinite(volume.values).all()
        assert all(0 < step < np.inf for step in volume.spacing)
        list(candidate_slices(Subject("x", "HGG", file, file)))

    return read


def is_dataset(dataset: ImageDataset) -> None:
    """Whether a data set keeps its contract."""
    images = np.asarray(dataset.images)
    assert images.dtype in (np.uint8, np.uint16, np.float32)
    assert len(dataset) == len(dataset.table) > 0
    assert all(isinstance(label, str) for label in dataset.labels)
    assert dataset.normal in set(dataset.labels)
    assert isinstance(dataset.name, str)
    for what in (dataset.masks, dataset.body):
        assert what is None or (np.asarray(what).dtype == bool and what.shape == (len(images), *images.shape[2:]))


def medmnist(kind: str, index: int, room: Path) -> Call:
    file = _file(kind, index, room, "x.npz")

    def read() -> None:
        if index % 2:
            is_dataset(load_medmnist(file))
            return
        numbers, part = read_numbers(file)
        images = list(stream_images(file))
        assert len(numbers) == len(part)
        assert all(one.dtype == np.uint8 and one.shape[0] in (1, 3) for one in images)

    return read


def idx(kind: str, index: int, room: Path) -> Call:
    home = room / "MNIST/raw"
    layouts.make_mnist(room, "MNIST")
    files = sorted(home.glob("*.gz"))
    hit = files[index % len(files)]
    if index % 2:
        sound = [gzip.decompress(hit.read_bytes())]
        hit.write_bytes(gzip.compress(damaged(sound, np.random.default_rng([index, 6])), 1))
    else:
        hit.write_bytes(hostile_files.hostile(kind, index))

    def read() -> None:
        collection = collect_idx("mnist", Files(room), size=None)
        if collection is not None:
            assert len(list(collection.samples)) == len(collection.table)

    return read


def cifar(kind: str, index: int, room: Path) -> Call:
    home = room / "cifar-10-batches-bin"
    layouts.make_cifar(room, n=1 + index % 3)
    files = sorted(home.glob("*.bin"))
    hit = files[index % len(files)]
    hit.write_bytes(damaged([file.read_bytes() for file in files], np.random.default_rng([index, 9])))

    def read() -> None:
        collection = collect_idx("cifar10", Files(room), size=None)
        assert collection is not None
        samples = list(collection.samples)
        assert len(samples) == len(collection.table)
        assert {sample.image.shape for sample in samples} == {(3, 32, 32)}

    return read


def archive(kind: str, index: int, room: Path) -> Call:
    file = _file(kind, index, room, {"zip": "x.zip", "tar": "x.tar", "tar_gz": "x.tar.gz"}[kind])

    def read() -> None:
        try:
            unpack(file, room / "out", progress=False)
        finally:
            assert sorted(path.name for path in room.iterdir()) in ([file.name], sorted([file.name, "out"]))
        assert not any(path.is_symlink() for path in room.rglob("*"))

    return read


def labels(kind: str, index: int, room: Path) -> Call:
    shutil.copytree(_sound["pictures"], room / "pictures")
    _file(kind, index, room / "pictures", "labels.csv")
    return lambda: is_dataset(load_folder(room / "pictures", size=16, cache=False, progress=False))


def tables(kind: str, index: int, room: Path) -> Call:
    """The tables that come with public sets."""
    folder = room / "rsna"
    shutil.copytree(_sound["rsna"], folder)
    rng = np.random.default_rng([index, 7])
    names = ("stage_2_detailed_class_info.csv", "pneumonia-challenge-dataset-mappings_2018.json", "truth.csv")
    name = names[index % 3]
    (folder / "truth.csv").write_text('"ISIC_0000000","benign"\n"ISIC_0000001","malignant"\nISIC_0000002,0.0\n')
    if name.endswith(".json"):
        (folder / name).write_bytes(hostile_text(json.loads((folder / name).read_text()), rng))
    else:
        (folder / name).write_bytes(damaged([(folder / name).read_bytes()], rng))

    def read() -> None:
        if name == "truth.csv":
            read_truth(folder / name)
            return
        collection = collect_rsna(Files(folder), size=16)
        assert collection is None or all(isinstance(group, str) for group in collection.table["group"])

    return read


def handed_in(kind: str, index: int, room: Path) -> Call:
    """A student's notebook, up to what would be run of it."""
    rng = np.random.default_rng([index, 10])
    name, source = list(sources().items())[index % len(sources())]
    content = json.loads(json.dumps(source))
    if index % 2:
        cell = int(rng.integers(len(content["cells"])))
        content["cells"][cell] = hostile_json(content["cells"][cell], rng)
    (room / "x.ipynb").write_bytes(json.dumps(content).encode() if index % 2 else hostile_text(content, rng))

    def read() -> None:
        submitted = read_notebook(room / "x.ipynb")
        assert find_assignment(submitted, sources()) in sources()
        plan = plan_of(source, submitted)
        assert all(isinstance(step, Step) and isinstance(step.source, str) for step in plan.steps), name
        assert [note for note in plan.notes if "\n" in note] == []

    return read


@cache
def sources() -> dict[str, NotebookNode]:
    """The assignments, but a few cells of each."""
    return {name: NotebookNode(source | {"cells": source.cells[:12]}) for name, source in load_sources().items()}


READERS: dict[str, Callable[[str, int, Path], Call]] = {
    "png": image, "jpeg": image, "tiff": image, "bmp": image, "gif": image, "webp": image, "ppm": image, "jpeg2000": image,
    "dicom": dicom, "nifti": nifti, "nifti_gz": nifti, "medmnist": medmnist,
    "idx": idx, "cifar": cifar, "zip": archive, "tar": archive, "tar_gz": archive, "labels": labels, "tables": tables,
    "handed_in": handed_in,
}  # fmt: skip
