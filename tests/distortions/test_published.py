"""The published eight against ImageMagick's own pixels: stored ones always, live ones where it is installed."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from novkit.distortions.published import PUBLISHED, distort_published, published, published_points
from novkit.distortions.resampling import resample
from novkit.errors import SettingsError
from novkit.seeding import torch_generator
from tests.distortions.references.make_references import CONSTANT, FOLDER, KEPT, SIDE, imagemagick, pattern, references


def stored(which: str, kind: str) -> np.ndarray:
    with Image.open(FOLDER / f"{which}_{kind}.png") as opened:
        return np.array(opened)


@pytest.mark.parametrize("which", PUBLISHED)
def test_map_is_imagemagicks(which):
    """ImageMagick's picture of x (and of y) is its coordinate map: ours must be the same to a hundredth of a pixel."""
    seen_x, seen_y, _ = np.split(stored(which, "map") * (SIDE / 65535), 3, axis=1)
    x, y = published_points(which, SIDE, SIDE)[0].double().numpy()[:, KEPT, KEPT]
    if PUBLISHED[which].border == "tile":
        x, y = x % SIDE, y % SIDE
    # The arc is resized afterwards by ImageMagick, whose filter mixes a few pixels, and more where two tiles meet.
    edge, tolerance = (12, 0.05) if which == "arc" else (1, 0.01)
    inside = (np.minimum(x, y) > edge) & (np.maximum(x, y) < SIDE - edge)
    assert inside.mean() > 0.2
    assert np.abs(seen_x - x)[inside].max() < tolerance
    assert np.abs(seen_y - y)[inside].max() < tolerance


@pytest.mark.parametrize("which", PUBLISHED)
def test_fill_is_imagemagicks(which):
    """What lies outside the image is black, white or the image again, as ImageMagick has it."""
    seen = np.split(stored(which, "map"), 3, axis=1)[2]
    spec = PUBLISHED[which]
    if spec.border != "fill":
        assert (np.abs(seen - CONSTANT) <= 2).all()
        return
    x, y = published_points(which, SIDE, SIDE)[0].numpy()[:, KEPT, KEPT]
    outside = (np.minimum(x, y) < -2) | (np.maximum(x, y) > SIDE + 2)
    assert outside.sum() > 50
    assert (seen[outside] == round(65535 * spec.fill)).all()


@pytest.mark.parametrize("which", PUBLISHED)
def test_picture_is_imagemagicks(which):
    """The pixels too, though the filters differ: within one grey level on average, fill and its edges included."""
    ours = published(torch.from_numpy(pattern() / np.float32(255))[None, None], which)[0, 0].numpy()[KEPT, KEPT] * 255
    difference = np.abs(ours - stored(which, "pattern"))
    assert difference.mean() < 1.0
    assert np.median(difference) < 0.6


@pytest.mark.skipif(imagemagick() is None, reason="ImageMagick is not installed")
@pytest.mark.parametrize("which", PUBLISHED)
def test_references_are_what_imagemagick_makes(which):
    made_map, made_pattern = references(imagemagick(), which)
    assert np.abs(made_map.astype(int) - stored(which, "map")).max() <= 2
    assert np.abs(made_pattern.astype(int) - stored(which, "pattern")).max() <= 1


@pytest.mark.parametrize("which", PUBLISHED)
def test_other_sizes_are_in_proportion(which):
    large = torch.from_numpy(pattern() / np.float32(255))[None, None]
    small = F.avg_pool2d(large, 2)
    assert (published(small, which) - F.avg_pool2d(published(large, which), 2)).abs().mean() < 0.01


@pytest.mark.parametrize("shape", [(3, 1, 64, 64), (2, 3, 40, 56)])
@pytest.mark.parametrize("which", PUBLISHED)
def test_the_matrix_reads_what_resampling_reads(which, shape):
    """On a CPU a transformation is one sparse matrix; elsewhere torch's grid_sample reads the same points."""
    images = torch.rand(shape, generator=torch_generator(0, "images"))
    spec, (n, _, height, width) = PUBLISHED[which], shape
    points = published_points(which, spec.readings * height, spec.readings * width) / spec.readings
    expected = F.avg_pool2d(resample(images, points.expand(n, -1, -1, -1), border=spec.border, fill=spec.fill), spec.readings)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(published(given, which), expected, rtol=0, atol=1e-5)


def test_random_choice():
    images = torch.rand(64, 3, 32, 24, generator=torch_generator(0))
    result, kinds = distort_published(images, torch_generator(1))
    again, same = distort_published(images, torch_generator(1))
    assert torch.equal(result, again)
    assert torch.equal(kinds, same)
    assert set(kinds.tolist()) == set(range(8))
    for index, which in enumerate(PUBLISHED):
        row = int((kinds == index).nonzero()[0])
        assert torch.allclose(result[row : row + 1], published(images[row : row + 1], which), atol=1e-6)
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_unknown_name():
    with pytest.raises(SettingsError, match="swirl"):
        published(torch.rand(1, 1, 32, 32), "swirl")
