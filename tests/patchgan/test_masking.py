"""Masks: every patch hidden once, boxes where cells are, the share that was asked for."""

import itertools

import numpy as np
import pytest
import torch

from novkit.errors import SettingsError
from novkit.patchgan.masking import PatchGrid, check_boxes, hidden_patches, partitions, patch_size_for


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("side", "expected"), [(64, 4), (128, 8), (256, 16), (28, 2), (32, 2), (224, 14), (16, 2)])
def test_patch_is_about_a_sixteenth_and_divides(side, expected):
    assert patch_size_for(side, side) == expected
    grid = PatchGrid.of((1, side, side))
    assert grid.rows * grid.patch == side


def test_impossible_patches_are_refused():
    with pytest.raises(SettingsError, match="resize"):
        PatchGrid.of((1, 37, 41))
    with pytest.raises(SettingsError, match="divisor"):
        PatchGrid.of((1, 64, 64), 7)
    with pytest.raises(SettingsError, match="side by side"):
        PatchGrid.of((1, 64, 64), 64)
    assert PatchGrid.of((3, 28, 28), 7).count == 16


def test_mean_and_spread_number_the_patches_alike():
    grid = PatchGrid.of((3, 12, 18), 3)
    x = torch.rand(2, 3, 12, 18)
    by_hand = [[float(x[i, :, 3 * r : 3 * r + 3, 3 * c : 3 * c + 3].mean()) for r in range(4) for c in range(6)] for i in range(2)]
    np.testing.assert_allclose(grid.mean(x).numpy(), by_hand, rtol=1e-5)
    values = torch.rand(2, 24)
    torch.testing.assert_close(grid.mean(grid.spread(values)), values)
    assert float(grid.spread(values)[0, 0, 4, 8]) == float(values[0, 1 * 6 + 2])


@pytest.mark.parametrize("masks", [2, 4, 8])
@pytest.mark.parametrize("boxes", [(1,), (2,), (1, 2)])
def test_every_patch_is_hidden_by_exactly_one_mask_and_every_mask_hides_some(masks, boxes):
    grid = PatchGrid(4, 8, 6)
    label = partitions(50, grid, boxes, masks, generator())
    assert label.shape == (50, 48)
    for row in label:
        assert set(row.tolist()) == set(range(masks))


@pytest.mark.parametrize("box", [1, 2, 3])
def test_boxes_are_aligned_with_cells_under_some_shift(box):
    """Brute force: for one of the b² shifts, all patches of each cell share a mask."""
    grid = PatchGrid(4, 8, 8)
    fits = []
    for label in partitions(60, grid, (box,), 4, generator(1)).reshape(60, 8, 8).numpy():
        shifts = []
        for down, right in itertools.product(range(box), repeat=2):
            cell = (np.arange(8) + down)[:, None] // box * 100 + (np.arange(8) + right)[None] // box
            shifts.append(all(len(set(label[cell == number])) == 1 for number in np.unique(cell)))
        assert any(shifts)
        fits.append(shifts)
    assert np.array(fits).any(axis=0).all()  # every shift is drawn


def test_several_box_sizes_occur():
    """Runs of hidden patches along a row: boxes of 3 make longer ones than boxes of 1."""

    def length(boxes: tuple[int, ...]) -> float:
        hidden = hidden_patches(400, PatchGrid(4, 12, 12), boxes, 4, generator(2)).reshape(400, 12, 12).int()
        starts = (hidden.diff(dim=2) == 1).sum() + hidden[:, :, 0].sum()
        return float(hidden.sum() / starts)

    assert length((1,)) < 1.6 < length((1, 3)) < length((3,))
    assert length((3,)) > 2.5


@pytest.mark.parametrize("masks", [2, 4, 8])
@pytest.mark.parametrize("boxes", [(1,), (2,), (1, 2, 3)])
def test_hidden_share_is_r(masks, boxes):
    grid = PatchGrid(8, 8, 8)
    hidden = hidden_patches(1000, grid, boxes, masks, generator(3)).float()
    assert hidden.mean() == pytest.approx(1 / masks, abs=0.01)
    per_image = hidden.mean(dim=1)
    assert per_image.min() > 0
    if boxes == (1,):
        assert (per_image == 1 / masks).all()
    assert hidden.mean(dim=0).std() < 0.03  # no place is favoured


def test_masks_are_a_function_of_the_generator():
    grid = PatchGrid(8, 8, 8)
    a, b, c = (hidden_patches(5, grid, (1, 2), 4, generator(seed)) for seed in (7, 7, 8))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_too_few_cells_are_refused():
    with pytest.raises(SettingsError, match="smaller boxes"):
        check_boxes(PatchGrid(8, 8, 8), (1, 5), 8)
    check_boxes(PatchGrid(8, 8, 8), (1, 4), 4)
