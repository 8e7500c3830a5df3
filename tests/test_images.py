"""What is accepted as images, and how it becomes tensors."""

import numpy as np
import pytest
import torch

from novkit.errors import DataError
from novkit.images import batches, check_images, to_tensor


def test_integers_are_divided_by_their_range():
    values = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    torch.testing.assert_close(to_tensor(values).flatten(), torch.tensor([0.0, 0.2, 1.0]))
    wide = np.array([0, 13107, 65535], np.uint16).reshape(1, 1, 1, 3)
    torch.testing.assert_close(to_tensor(wide).flatten(), torch.tensor([0.0, 0.2, 1.0]))


def test_batches_cover_everything_in_order():
    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
    seen = torch.cat(list(batches(images, 3)))
    torch.testing.assert_close(seen.flatten() * 255, torch.arange(7.0))


def test_tensors_and_doubles_are_taken():
    assert check_images(torch.rand(2, 1, 4, 4)).dtype == np.float32
    assert check_images(np.random.default_rng(0).random((2, 1, 4, 4))).dtype == np.float32


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 255, (5, 1, 4, 4), dtype=np.uint8))
    assert isinstance(check_images(np.load(tmp_path / "x.npy", mmap_mode="r")), np.memmap)


GOOD = np.random.default_rng(0).random((3, 1, 8, 8)).astype(np.float32)


def spoiled(value):
    bad = GOOD.copy()
    bad[1, 0, 2, 3] = value
    return bad


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (GOOD[0], {}, r"\(n, channels, height, width\)"),
        (GOOD[:0], {}, "holds no image"),
        (GOOD.astype(np.int64), {}, "uint8, uint16 or float32"),
        (GOOD.astype(complex), {}, "uint8, uint16 or float32"),
        (spoiled(np.nan), {}, "Image 1 of X holds NaN"),
        (spoiled(np.inf), {}, "Image 1 of X holds NaN or infinity"),
        (spoiled(255), {}, r"Image 1 of X leaves \[0, 1\]"),
        (np.stack([GOOD[0], GOOD[0] * 0]), {"varied": True}, "Image 1 of X is constant"),
        (GOOD, {"shape": (3, 8, 8)}, "1 channels where the detector was fitted on 3"),
        (GOOD, {"shape": (1, 16, 16)}, "8×8 where the detector was fitted on 16×16"),
    ],
)
def test_what_cannot_be_used_is_named(images, arguments, message):
    with pytest.raises(DataError, match=message):
        check_images(images, **arguments)
