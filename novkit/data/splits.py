"""Splits by group: no patient, lesion or subject ever stands on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from novkit.data.dataset import ImageDataset
from novkit.errors import DataError, SettingsError
from novkit.seeding import seed_for

PARTS = ("train", "calibration", "threshold", "test")


@dataclass(frozen=True)
class Split:
    """Row indices into a data set, ascending; no group occurs in two parts.

    train: normal images to learn from.
    calibration: held-out normal images that choose the epoch and scale the score.
    threshold: further normal images that set the threshold.
    test: the remaining normal images, and novel images of groups that occur in no other part.
    left_out: how many novel images stand in no part, because their group's normal images are trained or calibrated on.
    """

    train: np.ndarray
    calibration: np.ndarray
    threshold: np.ndarray
    test: np.ndarray
    left_out: int = 0


def as_labels(labels: str | int | Sequence) -> tuple[str, ...]:
    """One class name or several -> a tuple of names."""
    return (str(labels),) if isinstance(labels, str) or not np.iterable(labels) else tuple(str(label) for label in labels)


def check_labels(dataset: ImageDataset, labels: Sequence[str]) -> None:
    """Raise DataError unless every class has an image."""
    existing = set(dataset.table["label"].astype(str))
    for label in labels:
        if label not in existing:
            raise DataError(f"Data set {dataset.name} has no image of class {label!r}: its classes are {', '.join(sorted(existing))}.")


def split_by_group(
    dataset: ImageDataset,
    normal_labels: str | Sequence[str],
    novel_labels: str | Sequence[str] = (),
    *,
    seed: int,
    train: float = 0.6,
    calibration: float = 0.1,
    threshold: float = 0.1,
) -> Split:
    """Divide the groups that hold normal images into four parts; `test` takes the share that remains, and the novel images it may have.

    train, calibration, threshold: shares of the normal images; met to within the largest group, as long as every part has a group.
    The parts depend on the seed and on each group's name and labels, not on the order of the rows.
    Novel images enter the test when their group is a test group or holds no normal image. Other classes enter nothing.
    Raises DataError for an unknown class, overlapping classes or fewer than four groups, SettingsError for impossible shares.
    """
    normal, novel = as_labels(normal_labels), as_labels(novel_labels)
    shares = (train, calibration, threshold)
    if min(shares) <= 0 or sum(shares) >= 1:
        raise SettingsError(f"The shares {shares} of train, calibration and threshold must be above 0 and leave something for the test.")
    if not normal:
        raise DataError(f"No normal class was named for data set {dataset.name}: name at least one.")
    check_labels(dataset, (*normal, *novel))
    if set(normal) & set(novel):
        raise DataError(f"Class {min(set(normal) & set(novel))!r} is named both normal and novel: choose one.")

    labels = dataset.table["label"].astype(str).to_numpy(dtype=object)
    names, group = np.unique(dataset.table["group"].astype(str).to_numpy(dtype=object), return_inverse=True)
    is_normal, is_novel = np.isin(labels, normal), np.isin(labels, novel)
    order = _group_order(names, group, labels, is_normal, is_novel, seed)
    if len(order) < len(PARTS):
        raise DataError(
            f"The normal images of data set {dataset.name} come from {len(order)} group(s): "
            f"at least {len(PARTS)} are needed, one for each of {', '.join(PARTS)}."
        )
    test = PARTS.index("test")
    part_of_group = np.full(len(names), test)  # groups without normal images may be tested
    counts = np.bincount(group[is_normal], minlength=len(names))
    part_of_group[order] = np.repeat(np.arange(len(PARTS)), np.diff(_cuts(counts[order], shares)))
    part = part_of_group[group]
    chosen = {name: np.flatnonzero(is_normal & (part == number)) for number, name in enumerate(PARTS)}
    chosen["test"] = np.flatnonzero((is_normal | is_novel) & (part == test))
    return Split(**chosen, left_out=int((is_novel & (part != test)).sum()))


def _group_order(
    names: np.ndarray, group: np.ndarray, labels: np.ndarray, is_normal: np.ndarray, is_novel: np.ndarray, seed: int
) -> np.ndarray:
    """The groups with normal images in a random order that consecutive cuts find well mixed -> their positions in `names`.

    Groups of one kind (the same normal classes, with or without novel images) are shuffled and spread evenly over [0, 1) from a
    random start, which is systematic sampling: each part gets its share of every kind.
    """
    counts = np.bincount(group[is_normal], minlength=len(names))
    with_novel = np.bincount(group[is_novel], minlength=len(names)) > 0
    classes: dict[int, set[str]] = {}
    for number, label in zip(group[is_normal], labels[is_normal], strict=True):
        classes.setdefault(int(number), set()).add(label)
    kinds: dict[tuple, list[int]] = {}
    draws = {number: seed_for(seed, "split", names[number]) for number in classes}
    for number in sorted(classes, key=draws.__getitem__):
        kinds.setdefault((*sorted(classes[number]), bool(with_novel[number])), []).append(number)
    place: dict[int, float] = {}
    for kind, members in kinds.items():
        filled = np.cumsum(counts[members])
        middle = (filled - counts[members] / 2) / filled[-1]
        start = seed_for(seed, "split start", *map(str, kind)) / 2**63
        place.update(zip(members, (middle + start) % 1, strict=True))
    order = sorted(place, key=lambda number: (place[number], draws[number]))
    if with_novel[order].any() and not (with_novel & (counts == 0)).any():
        # Every novel image shares a group with normal ones: one such group must end in the test, or nothing novel would.
        last = next(number for number in reversed(order) if with_novel[number])
        order.remove(last)
        order.append(last)
    return np.array(order, dtype=int)


def _cuts(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Where to cut a row of groups so that the parts' sums come nearest to the shares and no part is empty -> 0, three cuts, n."""
    filled = np.concatenate([[0], np.cumsum(counts)])
    cuts = [0]
    for number, target in enumerate(np.cumsum(shares) * filled[-1], start=1):
        nearest = int(np.abs(filled - target).argmin())
        cuts.append(min(max(nearest, cuts[-1] + 1), len(counts) - (len(shares) + 1 - number)))
    return np.array([*cuts, len(counts)])
