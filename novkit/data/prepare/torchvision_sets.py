"""Fashion-MNIST, MNIST and CIFAR-10; addresses and MD5 sums of the first two are those torchvision carries.

They are read here, not by torchvision: it unpickles CIFAR-10, of which the binary version holds the same images in plain bytes.
"""

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novkit.data.downloads import Download
from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import resized
from novkit.data.store import Sample
from novkit.data.untrusted import opened, reading
from novkit.errors import DataError

_CLASS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_NAMES = {
    "mnist": [str(k) for k in range(10)],
    "fashion_mnist": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}
_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR_MD5 = "md5:c32a1d4ab5d03f1284b67883e8d87530"  # as the page of the data set states it
_CIFAR_ROW = 1 + 3 * 32 * 32  # bytes: the class, then the image
_CIFAR_BATCH = 10_000 * _CIFAR_ROW
_LARGEST = 2**28  # bytes of a file of MNIST, more than five times what the largest has
_AGAIN = "download it again"

Part = tuple[str, np.ndarray, np.ndarray]  # train or test, images (n, channels, height, width) uint8, numbers of the classes (n,)


def _downloads(name: str, options: dict[str, Any]) -> tuple[Download, ...]:
    if name == "cifar10":
        return (Download(_CIFAR, _CIFAR_MD5, "cifar-10-binary.tar.gz"),)
    import torchvision.datasets

    kind = getattr(torchvision.datasets, _CLASS[name])
    return tuple(Download(kind.mirrors[0] + file, f"md5:{md5}", f"{kind.__name__}/raw/{file}") for file, md5 in kind.resources)


def collect(name: str, files: Files, *, size: int | None) -> Collection | None:
    """Both parts, train and test; size None keeps the original one. Raises DataError for labels that do not fit their images."""
    parts = [part for root in files.roots for part in (_cifar(root) if name == "cifar10" else _mnist(root / _CLASS[name] / "raw"))]
    if not parts:
        return None
    for title, images, numbers in parts:
        if len(images) != len(numbers) or not len(images) or numbers.max() > 9 or images.shape[1:] != parts[0][1].shape[1:]:
            raise DataError(f"The {title} part of {name} has labels that do not fit its images: {_AGAIN}.")
    stacked, numbers = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    part = [title for title, images, _ in parts for _ in images]
    ids = [f"{title}-{k}" for title, k in zip(part, [*range(part.count("train")), *range(part.count("test"))], strict=True)]
    labels = np.array(_NAMES[name], dtype=object)[numbers]
    table = pd.DataFrame({"id": ids, "label": labels, "group": ids, "path": "", "part": part})
    shape = stacked.shape[2:] if size is None else (size, size)
    return Collection(table, (Sample(resized(np.ascontiguousarray(image), shape)) for image in stacked))


def _mnist(folder: Path) -> Iterator[Part]:
    """The four files of LeCun's format, gzipped or as torchvision leaves them, if all are there."""
    found = {}
    for title, start in (("train", "train"), ("test", "t10k")):
        for what in ("images-idx3", "labels-idx1"):
            names = (f"{start}-{what}-ubyte.gz", f"{start}-{what}-ubyte")
            found[title, what] = next((folder / name for name in names if (folder / name).is_file()), None)
    if None in found.values():
        return
    for title in ("train", "test"):
        images, numbers = (read_idx(file, n) for n, what in ((3, "images-idx3"), (1, "labels-idx1")) if (file := found[title, what]))
        yield title, images[:, None], numbers


def read_idx(file: Path, n_axes: int) -> np.ndarray:
    """An array of bytes in LeCun's IDX format: 0, 0, 8, the number of axes, the length of each as four bytes, and the values.

    Raises DataError for a file that is not in it, or has other than n_axes axes.
    """
    with reading(file, "an IDX file", _AGAIN), opened(file) as stream:
        head = stream.read(4 + 4 * n_axes)
        if head[:4] != bytes([0, 0, 8, n_axes]):
            raise DataError(f"{file} does not begin as an IDX file of {n_axes} axes does: {_AGAIN}.")
        shape = struct.unpack(f">{n_axes}I", head[4:])
        size = int(np.prod(shape, dtype=object))
        content = stream.read(size + 1) if size < _LARGEST else b""
        if len(content) != size or not size:
            raise DataError(f"{file} holds another number of values than it says: {_AGAIN}.")
        return np.frombuffer(content, np.uint8).reshape(shape)


def _cifar(root: Path) -> Iterator[Part]:
    """The six files of the binary version, if all are there: one byte of the class and 3 × 32 × 32 of the image, again and again."""
    names = {"train": [f"data_batch_{k}.bin" for k in range(1, 6)], "test": ["test_batch.bin"]}
    folder = root / "cifar-10-batches-bin"
    if not all((folder / name).is_file() for part in names.values() for name in part):
        return
    for title, part in names.items():
        for name in part:
            with reading(folder / name, "a batch of CIFAR-10", _AGAIN), opened(folder / name) as stream:
                content = stream.read(_CIFAR_BATCH + 1)
            if not content or len(content) % _CIFAR_ROW or len(content) > _CIFAR_BATCH:
                raise DataError(f"{folder / name} holds no batch of CIFAR-10, at most 10,000 images of {_CIFAR_ROW} bytes: {_AGAIN}.")
            rows = np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_ROW)
            yield title, rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]


def _recipe(name: str, title: str, normal: str, source: str, licence: str) -> Recipe:
    return Recipe(
        name=name,
        title=title,
        needs="it is fetched by itself; without a network put "
        + ("cifar-10-binary.tar.gz" if name == "cifar10" else "the files, as torchvision keeps them,")
        + " into {raw}",
        collect=partial(collect, name),
        downloads=partial(_downloads, name),
        archives=("cifar-10-binary.tar.gz",) if name == "cifar10" else (),
        options={"size": None},
        normal=normal,
        groups="Who wrote or photographed what is not published: every image is its own group, exact duplicates share one.",
        source=source,
        licence=licence,
    )


RECIPES = (
    _recipe("mnist", "MNIST: handwritten digits", "0", "MNIST (LeCun et al. 1998).", "CC BY-SA 3.0 (as commonly stated)."),
    _recipe("fashion_mnist", "Fashion-MNIST: clothes", "T-shirt/top", "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017).", "MIT."),
    _recipe("cifar10", "CIFAR-10: small photographs", "airplane", "CIFAR-10 (Krizhevsky 2009).", "None stated."),
)
