"""Set-ups: which classes are normal, which are novel, and who is trained, calibrated and tested on.

[P] The three of TEND: one-vs-rest, rest-vs-one (the rare disease), and generated out-of-distribution images.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import Tensor

from novkit.data.dataset import ImageDataset
from novkit.data.splits import Split, as_labels, check_labels, split_by_group
from novkit.errors import DataError
from novkit.images import chunks, to_tensor
from novkit.seeding import numpy_generator, torch_generator

_BATCH = 64


@dataclass(frozen=True)
class Setup:
    """A data set with its normal classes, its novel classes and a split.

    kind: "one_vs_rest", "rest_vs_one" or "generated_ood".
    dataset: what `split` indexes; for generated_ood the training images followed by the generated test images.
    """

    kind: str
    dataset: ImageDataset
    normal: tuple[str, ...]
    novel: tuple[str, ...]
    split: Split

    @property
    def X_train(self) -> np.ndarray:
        """(n, channels, height, width): normal images to learn from."""
        return self._images(self.split.train)

    @property
    def X_calibration(self) -> np.ndarray:
        """Held-out normal images that choose the epoch and scale the score."""
        return self._images(self.split.calibration)

    @property
    def X_threshold(self) -> np.ndarray:
        """Further normal images that set the threshold."""
        return self._images(self.split.threshold)

    @property
    def X_test(self) -> np.ndarray:
        """Normal and novel images of groups that no other part has seen."""
        return self._images(self.split.test)

    @property
    def y_test(self) -> np.ndarray:
        """(n,) int: 0 normal, 1 novel."""
        return np.isin(self.test_table["label"].to_numpy(), self.novel).astype(int)

    @property
    def test_table(self) -> pd.DataFrame:
        """`id`, `label` and `group` of the test images."""
        return self.dataset.table.iloc[self.split.test][["id", "label", "group"]].astype(str).reset_index(drop=True)

    @property
    def test_masks(self) -> np.ndarray | None:
        """(n, height, width) bool, or None where nobody marked anything."""
        return None if self.dataset.masks is None else np.asarray(self.dataset.masks[self.split.test])

    @property
    def test_body(self) -> np.ndarray | None:
        """(n, height, width) bool, the region of pixel metrics; None for the whole image."""
        return None if self.dataset.body is None else np.asarray(self.dataset.body[self.split.test])

    def _images(self, indices: np.ndarray) -> np.ndarray:
        return np.asarray(self.dataset.images[indices])


def one_vs_rest(dataset: ImageDataset, normal: str | Sequence[str], *, seed: int, novel: str | Sequence[str] | None = None) -> Setup:
    """One class is normal, or several are; the classes `novel` (default: all others) are novel.

    Raises DataError for an unknown class, and where the groups are too few to split.

    >>> from novkit.data import load
    >>> setup = one_vs_rest(load("digits"), "0", novel="8", seed=0)
    >>> len(setup.X_train), len(setup.X_calibration), len(setup.X_threshold)  # zeros
    (107, 18, 17)
    >>> (setup.y_test == 0).sum(), (setup.y_test == 1).sum()  # further zeros, and all eights
    (np.int64(36), np.int64(174))
    """
    names = as_labels(normal)
    check_labels(dataset, names)
    return _setup("one_vs_rest", dataset, names, other_labels(dataset, names) if novel is None else as_labels(novel), seed)


def rest_vs_one(dataset: ImageDataset, novel: str, *, seed: int) -> Setup:
    """One class is novel, all others are normal: the rare disease. Raises as `one_vs_rest`."""
    (novel,) = as_labels([novel])
    check_labels(dataset, [novel])
    return _setup("rest_vs_one", dataset, other_labels(dataset, (novel,)), (novel,), seed)


def generated_ood(dataset: ImageDataset, normal: str | Sequence[str], *, seed: int, beside: str | Sequence[str] = ()) -> Setup:
    """Every normal test image twice: nearly unchanged (normal), and transformed in a way no training uses (novel).

    The normal copy passes through a sub-pixel warp, so that resampling tells nothing; the families of `novkit.distortions.unseen`
    take equal turns, and the family is the novel image's label. Both copies keep the original's group. Masks and bodies are dropped:
    the transformations move them. beside: the novel classes of another set-up whose training images these shall be too; they matter where
    a group holds both kinds of images, and are not tested here.
    Raises DataError for a normal class that bears the name of a family, and where the data set cannot be split.
    """
    from novkit.distortions.resampling import near_identity
    from novkit.distortions.unseen import UNSEEN

    names = as_labels(normal)
    split = split_by_group(dataset, names, as_labels(beside), seed=seed)
    if set(names) & set(UNSEEN):
        raise DataError(f"Class {min(set(names) & set(UNSEEN))!r} bears the name of a generated family: rename the class.")
    by_id = dataset.table["id"].astype(str)
    test = split.test[np.isin(dataset.labels[split.test], names)]
    test = test[np.argsort(by_id.iloc[test].to_numpy(), kind="stable")]  # the same copies whatever the order of the rows
    families = list(UNSEEN)
    turn = numpy_generator(seed, "generated_ood", "turns").permutation(len(test)) % len(families)

    nearly = np.empty((len(test), *dataset.image_shape), dataset.images.dtype)
    transformed = np.empty_like(nearly)
    for part in chunks(len(test), _BATCH):
        generator = torch_generator(seed, "generated_ood", "near identity", part.start)
        nearly[part] = _quantised(near_identity(to_tensor(dataset.images[test[part]]), generator), nearly.dtype)
    for number, family in enumerate(families):
        rows = np.flatnonzero(turn == number)
        for part in chunks(len(rows), _BATCH):
            generator = torch_generator(seed, "generated_ood", family, part.start)
            transformed[rows[part]] = _quantised(UNSEEN[family](to_tensor(dataset.images[test[rows[part]]]), generator), nearly.dtype)

    kept = np.concatenate([split.train, split.calibration, split.threshold])
    tables = [dataset.table.iloc[index] for index in (kept, test, test)]
    tables[1] = tables[1].assign(id=tables[1]["id"].astype(str) + "/near-identity")
    label = np.array(families, dtype=object)[turn]
    tables[2] = tables[2].assign(id=tables[2]["id"].astype(str) + "/" + label, label=label)
    ends = np.cumsum([len(split.train), len(split.calibration), len(split.threshold), 2 * len(test)])
    combined = replace(
        dataset,
        name=f"{dataset.name}, generated OOD",
        images=np.concatenate([dataset.images[kept], nearly, transformed]),
        table=pd.concat(tables, ignore_index=True),
        masks=None,
        body=None,
        fingerprint=hashlib.sha256(repr((dataset.fingerprint, names, seed, families)).encode()).hexdigest()[:16],
    )
    train, calibration, threshold, tested = np.split(np.arange(ends[-1]), ends[:-1])
    used = tuple(family for number, family in enumerate(families) if (turn == number).any())
    return Setup("generated_ood", combined, names, used, Split(train, calibration, threshold, tested))


def other_labels(dataset: ImageDataset, labels: Sequence[str]) -> tuple[str, ...]:
    """The classes of a data set that are not among `labels`, sorted."""
    return tuple(sorted(set(dataset.table["label"].astype(str)) - set(labels)))


def _setup(kind: str, dataset: ImageDataset, normal: tuple[str, ...], novel: tuple[str, ...], seed: int) -> Setup:
    if not normal or not novel:
        raise DataError(f"Data set {dataset.name} has a single class: novelty needs a normal and a novel one.")
    return Setup(kind, dataset, normal, novel, split_by_group(dataset, normal, novel, seed=seed))


def _quantised(images: Tensor, dtype: np.dtype) -> np.ndarray:
    """Float images in [0, 1] back to the originals' grey levels, as a stored image has them."""
    array = images.clamp(0, 1).cpu().numpy()
    if dtype == np.float32:
        return array
    return np.rint(array * np.iinfo(dtype).max).astype(dtype)
