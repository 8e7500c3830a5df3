"""Splits by group: no patient, lesion or subject ever stands on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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

    labels = dataset.table["label"].astype(str).to_numpy()
    groups = dataset.table["group"].astype(str).to_numpy()
    is_normal, is_novel = np.isin(labels, normal), np.isin(labels, novel)
    order = _group_order(groups, labels, is_normal, is_novel, seed)
    if len(order) < len(PARTS):
        raise DataError(
            f"The normal images of data set {dataset.name} come from {len(order)} group(s): "
            f"at least {len(PARTS)} are needed, one for each of {', '.join(PARTS)}."
        )
    part_of = pd.Series(np.repeat(np.arange(len(PARTS)), np.diff(_cuts(order.to_numpy(), shares))), index=order.index)
    part = pd.Series(groups).map(part_of).fillna(PARTS.index("test")).to_numpy(dtype=int)  # groups without normal images may be tested
    chosen = {name: np.flatnonzero(is_normal & (part == number)) for number, name in enumerate(PARTS)}
    chosen["test"] = np.flatnonzero((is_normal | is_novel) & (part == PARTS.index("test")))
    return Split(**chosen, left_out=int((is_novel & (part != PARTS.index("test"))).sum()))


def _group_order(groups: np.ndarray, labels: np.ndarray, is_normal: np.ndarray, is_novel: np.ndarray, seed: int) -> pd.Series:
    """The groups with normal images in a random order that any consecutive cut finds well mixed -> their counts of normal images.

    Groups of one kind (the same normal classes, with or without novel images) are shuffled and spread evenly over [0, 1) from a
    random start, which is systematic sampling: each part gets its share of every kind.
    """
    rows = pd.DataFrame({"group": groups, "label": labels, "normal": is_normal, "novel": is_novel})
    table = rows.groupby("group").agg(count=("normal", "sum"), novel=("novel", "any"))
    table = table[table["count"] > 0]
    normal_rows = rows[is_normal].drop_duplicates(["group", "label"]).sort_values("label")
    table["kind"] = normal_rows.groupby("group")["label"].agg("\n".join) + "\n" + table["novel"].astype(str)
    table["draw"] = [seed_for(seed, "split", name) for name in table.index]
    table = table.sort_values("draw", kind="stable")
    of_kind = table.groupby("kind")["count"]
    start = table["kind"].map({kind: seed_for(seed, "split start", kind) / 2**63 for kind in table["kind"].unique()})
    table["place"] = ((of_kind.cumsum() - table["count"] / 2) / of_kind.transform("sum") + start) % 1
    table = table.sort_values(["place", "draw"], kind="stable")
    if table["novel"].any() and set(groups[is_novel]) <= set(table.index):
        # Every novel image shares a group with normal ones: one such group must end in the test, or nothing novel would.
        last = table["novel"].to_numpy().nonzero()[0][-1]
        table = table.iloc[[*np.delete(np.arange(len(table)), last), last]]
    return table["count"]


def _cuts(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Where to cut a row of groups so that the parts' sums come nearest to the shares and no part is empty -> 0, three cuts, n."""
    filled = np.concatenate([[0], np.cumsum(counts)])
    cuts = [0]
    for number, target in enumerate(np.cumsum(shares) * filled[-1], start=1):
        nearest = int(np.abs(filled - target).argmin())
        cuts.append(min(max(nearest, cuts[-1] + 1), len(counts) - (len(shares) + 1 - number)))
    return np.array([*cuts, len(counts)])
