"""Fashion-MNIST, MNIST and CIFAR-10, fetched and read as torchvision does it; the MD5 sums are those torchvision itself carries."""

import gzip
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novkit.data.downloads import Download
from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import resized
from novkit.data.store import Sample
from novkit.files import replacing

_CLASS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}


def _downloads(name: str, options: dict[str, Any]) -> tuple[Download, ...]:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, _CLASS[name])
    if name == "cifar10":
        return (Download(kind.url, f"md5:{kind.tgz_md5}", kind.filename),)
    return tuple(Download(kind.mirrors[0] + file, f"md5:{md5}", f"{kind.__name__}/raw/{file}") for file, md5 in kind.resources)


def collect(name: str, files: Files, *, size: int | None) -> Collection | None:
    """Both parts, train and test; size None keeps the original one."""
    import torchvision.datasets

    kind = getattr(torchvision.datasets, _CLASS[name])
    images, numbers, part = [], [], []
    names: list[str] = []
    for file in files.find("*-ubyte.gz"):
        _gunzip(file)
    for root in files.roots:  # CIFAR-10's lies where its archive was unpacked
        try:
            parts = {title: kind(root, train=title == "train") for title in ("train", "test")}
        except RuntimeError:  # torchvision's, for files that are missing or differ from its MD5 sums
            continue
        for title, data in parts.items():
            images.append(np.asarray(data.data))
            numbers.append(np.asarray(data.targets))
            part += [title] * len(data)
            names = [str(k) for k in range(10)] if name == "mnist" else data.classes
    if not images:
        return None
    stacked = np.concatenate(images)
    stacked = stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2)
    ids = [f"{title}-{k}" for title, k in zip(part, [*range(part.count("train")), *range(part.count("test"))], strict=True)]
    table = pd.DataFrame(
        {"id": ids, "label": np.array(names, dtype=object)[np.concatenate(numbers)], "group": ids, "path": "", "part": part}
    )
    shape = stacked.shape[2:] if size is None else (size, size)
    return Collection(table, (Sample(resized(np.ascontiguousarray(image), shape)) for image in stacked))


def _gunzip(file: Path) -> None:
    """Beside the .gz, where torchvision looks for it."""
    if not file.with_suffix("").exists():
        with replacing(file.with_suffix("")) as temporary, gzip.open(file) as source, open(temporary, "wb") as target:
            shutil.copyfileobj(source, target)


def _recipe(name: str, title: str, normal: str, source: str, licence: str) -> Recipe:
    return Recipe(
        name=name,
        title=title,
        needs="it is fetched by itself; without a network put the files, as torchvision keeps them, into {raw}",
        collect=partial(collect, name),
        downloads=partial(_downloads, name),
        archives=("cifar-10-python.tar.gz",) if name == "cifar10" else (),
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
