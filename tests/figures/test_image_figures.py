"""Contact sheets: every picture stands where its caption says, in its own colours, and small."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from novkit.errors import DataError
from novkit.figures import describe, gallery, novelty_maps, reconstructions
from novkit.figures.images import OUTLINE


def sheet(figure) -> np.ndarray:
    """The figure's PNG as an array (height, width, 4)."""
    source = figure.data[0].source
    assert source.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))))


def random_images(n: int, channels: int = 1, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, size, size), dtype=np.uint8)


def test_gallery_keeps_every_pixel():
    images = random_images(5, channels=3, size=32)
    figure = gallery(images, list("abcde"), columns=3)
    found = sheet(figure)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        top, left = row * (128 + 22) + 22, column * (128 + 6)
        assert np.array_equal(found[top : top + 128 : 4, left : left + 128 : 4, :3], image.transpose(1, 2, 0))
    assert found[150 + 22 + 5, 2 * 134 + 5, 3] == 0  # the empty place is transparent
    assert [note.text for note in figure.layout.annotations if note.text] == list("abcde")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_levels_do_not_depend_on_the_type(dtype):
    unit = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 1, 64, 64)
    scale = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    images = (unit * scale).round().astype(dtype) if scale > 1 else unit
    found = sheet(gallery(images, ["ramp"]))[6:134:2, 0:128:2, 0]
    assert np.abs(found.astype(int) - (unit[0, 0] * 255)).max() <= 1


def test_reconstructions_show_the_residual():
    images = random_images(2)
    restored = images.copy()
    restored[1, 0, 10:20, 10:20] ^= 128
    figure = reconstructions(images, restored, ["same", "changed"])
    found = sheet(figure)
    assert found.shape[0] == 3 * (128 + 6)
    residual = found[2 * 134 + 6 :, :, :3].astype(int).sum(axis=2)
    assert np.ptp(residual[:128, :128]) == 0
    changed = residual[:128, 134 : 134 + 128]
    assert changed[20:40, 20:40].min() > changed[60:, 60:].max()
    assert figure.data[1].marker.cmax == pytest.approx(128 / 255, abs=1e-6)
    assert "same 0.000" in describe(figure)
    with pytest.raises(DataError, match="must be the same"):
        reconstructions(images, restored[:1], ["a"])


def test_maps_share_a_scale_and_outline_the_truth():
    images, maps = random_images(2), np.zeros((2, 64, 64))
    maps[0, 5, 5], maps[1] = 2.0, 1.0
    maps[0, 6:30, 6:30] = 2.0
    masks = np.zeros((2, 64, 64), dtype=bool)
    masks[1, 20:30, 20:30] = True
    figure = novelty_maps(images, maps, ["one", "two"], masks=masks)
    found = sheet(figure)[..., :3]
    blue = (found == OUTLINE).all(axis=2)
    assert not blue[:, :128].any()
    for top in (6, 134 + 6):
        tile = blue[top : top + 128, 134 : 134 + 128]
        assert tile.any()
        assert not tile[40:60, 40:60].any()  # the abnormality itself stays uncovered
        rows, columns = np.nonzero(tile)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (38, 61, 38, 61)
    assert (figure.data[1].marker.cmin, figure.data[1].marker.cmax) == (0, 2)
    assert "outlined" in describe(figure)
    with pytest.raises(DataError, match="maps of shape"):
        novelty_maps(images, maps[:1], ["one", "two"])
    with pytest.raises(DataError, match="masks"):
        novelty_maps(images, maps, ["one", "two"], masks=masks[:1])


def test_large_images_are_reduced():
    images = random_images(2, size=256)
    found = sheet(gallery(images, ["a", "b"], masks=np.zeros((2, 256, 256), dtype=bool)))
    assert found.shape == (134, 2 * 134, 4)
    mean = images[0, 0].reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.abs(found[6:, :128, 0] - mean).max() <= 1


def test_figures_are_small_and_captions_are_text():
    images = random_images(6)  # noise, which PNG cannot pack: the worst case
    figure = novelty_maps(images, np.random.default_rng(0).random((6, 64, 64)), ["<b>x</b>\ny"] * 6)
    assert len(figure.to_json()) < 300_000
    assert figure.layout.annotations[0].text == "&lt;b>x&lt;/b><br>y"
    assert figure.layout.title.text
    with pytest.raises(DataError, match="6 images but 2 captions"):
        gallery(images, ["a", "b"])
