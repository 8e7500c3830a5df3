"""Splits: no group on two sides, shares, independence of the rows' order."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novkit.data.dataset import ImageDataset
from novkit.data.splits import PARTS, split_by_group
from novkit.errors import DataError, SettingsError


def dataset_of(groups, labels) -> ImageDataset:
    n = len(groups)
    table = pd.DataFrame({"id": [f"image-{i}" for i in range(n)], "label": labels, "group": groups})
    return ImageDataset("made", np.zeros((n, 1, 16, 16), np.uint8), table)


@st.composite
def tables(draw):
    """Random tables: groups of 1 … 6 images, normal in one of two classes, novel, or of a class nobody asked for."""
    kinds = draw(st.lists(st.lists(st.sampled_from(["a", "b", "novel", "other"]), min_size=1, max_size=6), min_size=4, max_size=40))
    for kind in kinds[:4]:
        kind.append("a")  # at least four groups with normal images
    if draw(st.booleans()):
        kinds.append(["b", "novel"])
    else:
        kinds.append(["novel"])
    rows = [(f"g{number}", label) for number, kind in enumerate(kinds) for label in kind]
    rows = draw(st.permutations(rows))
    return [group for group, _ in rows], [label for _, label in rows]


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(0, 10**6))
def test_any_table_is_split_without_overlap(rows, seed):
    groups, labels = map(np.array, rows)
    normal = ("a", "b") if "b" in labels else ("a",)
    split = split_by_group(dataset_of(*rows), normal, ("novel",), seed=seed)
    parts = {name: getattr(split, name) for name in PARTS}
    for one, other in combinations(parts.values(), 2):
        assert not set(groups[one]) & set(groups[other])
    is_normal = np.isin(labels, normal)
    assert sorted(np.concatenate([part[is_normal[part]] for part in parts.values()])) == list(np.flatnonzero(is_normal))
    for name in PARTS[:3]:
        assert len(parts[name])
        assert is_normal[parts[name]].all()
    assert is_normal[parts["test"]].any()
    assert (labels[parts["test"]] == "novel").any()
    assert "other" not in labels[parts["test"]]
    # Every novel image is either tested or counted, and none that could be tested is left out.
    assert (labels[parts["test"]] == "novel").sum() + split.left_out == (labels == "novel").sum()
    seen = set(groups[np.concatenate([parts[name] for name in PARTS[:3]])])
    assert split.left_out == sum(label == "novel" and group in seen for group, label in zip(groups, labels, strict=True))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=40, max_size=120), st.integers(0, 10**6), st.sampled_from([(0.6, 0.1, 0.1), (0.4, 0.2, 0.3)]))
def test_shares_are_met_to_within_one_group(sizes, seed, shares):
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    split = split_by_group(dataset_of(groups, ["a"] * len(groups)), "a", seed=seed, **dict(zip(PARTS, shares, strict=False)))
    for name, share in zip(PARTS, (*shares, 1 - sum(shares)), strict=True):
        assert abs(len(getattr(split, name)) - share * len(groups)) <= max(sizes)


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, seed, random):
    groups, labels = rows
    data = dataset_of(groups, labels)
    order = list(range(len(groups)))
    random.shuffle(order)
    shuffled = data.subset(np.array(order))
    one, other = (split_by_group(d, "a", "novel", seed=seed) for d in (data, shuffled))
    for name in PARTS:
        ids = [set(d.table["id"].iloc[getattr(s, name)]) for d, s in ((data, one), (shuffled, other))]
        assert ids[0] == ids[1]


def test_every_class_and_mixed_groups_reach_every_part_in_proportion():
    groups = [f"g{i}" for i in range(400)]
    labels = ["common"] * 300 + ["rare"] * 100
    data = dataset_of(groups + groups[:100], labels + ["novel"] * 100)
    split = split_by_group(data, ("common", "rare"), "novel", seed=3)
    for name, share in zip(PARTS, (0.6, 0.1, 0.1, 0.2), strict=True):
        counts = data.table["label"].iloc[getattr(split, name)].value_counts()
        assert abs(counts["rare"] - 100 * share) <= 2
        assert abs(counts["common"] - 300 * share) <= 4
    assert abs((data.table["label"].iloc[split.test] == "novel").sum() - 20) <= 2


def test_each_group_is_tested_as_often_as_its_share_says():
    """Over many seeds no group is favoured: not the first, not the largest, not the only one of its kind."""
    sizes = [12, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    labels = np.where(groups == "g1", "lonely", "a")
    data = dataset_of(groups, labels)
    tested = dict.fromkeys(np.unique(groups), 0)
    seeds = 400
    for seed in range(seeds):
        for group in np.unique(groups[split_by_group(data, ("a", "lonely"), seed=seed).test]):
            tested[group] += 1
    assert min(tested.values()) / seeds > 0.1  # expected 0.2, standard error 0.02
    assert max(tested.values()) / seeds < 0.3


def test_seeds_differ_and_repeat():
    data = dataset_of([f"g{i}" for i in range(50)], ["a"] * 50)
    same = [split_by_group(data, "a", seed=5).test for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], split_by_group(data, "a", seed=6).test)


def test_numbers_as_groups_and_labels():
    data = dataset_of(list(range(20)), [1] * 15 + [2] * 5)
    assert len(split_by_group(data, [1], [2], seed=0).test) == 3 + 5


def test_errors_name_what_is_wrong():
    data = dataset_of(["g0", "g1", "g2", "g3"], ["a", "a", "a", "b"])
    with pytest.raises(DataError, match=r"'c'.*its classes are a, b"):
        split_by_group(data, "c", seed=0)
    with pytest.raises(DataError, match=r"3 group.*at least 4"):
        split_by_group(data, "a", "b", seed=0)
    with pytest.raises(DataError, match="both normal and novel"):
        split_by_group(data, ("a", "b"), "b", seed=0)
    with pytest.raises(DataError, match="No normal class"):
        split_by_group(data, (), "b", seed=0)
    with pytest.raises(SettingsError, match="shares"):
        split_by_group(data, ("a", "b"), seed=0, train=0.9)
    categories = data.table.assign(label=pd.Categorical(data.table["label"], categories=["a", "b", "empty"]))
    with pytest.raises(DataError, match="'empty'"):
        split_by_group(ImageDataset("made", data.images, categories), "a", "empty", seed=0)
