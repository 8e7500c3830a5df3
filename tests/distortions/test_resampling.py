"""Resampling against scipy, and the sub-pixel warp against what it promises."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from novkit.distortions import distort
from novkit.distortions.resampling import (
    near_identity,
    near_identity_points,
    pixel_centres,
    resample,
    to_centred,
    to_pixels,
)
from novkit.errors import DataError, SettingsError
from novkit.seeding import torch_generator

SCIPY = {"reflect": "reflect", "border": "nearest", "fill": "grid-constant", "tile": "grid-wrap"}


@pytest.mark.parametrize("border", SCIPY)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 28, 41)])
def test_resample_is_scipys(border, shape):
    """At random places, up to two image sizes outside."""
    images = torch.rand(2, *shape, generator=torch_generator(0))
    size = torch.tensor([shape[2], shape[1]]).view(1, 2, 1, 1)
    points = (torch.rand(2, 2, 20, 30, generator=torch_generator(1)) * 5 - 2) * size
    ours = resample(images, points, border=border, fill=0.7).numpy()
    for i in range(2):
        x, y = points[i].double().numpy() - 0.5
        for channel in range(shape[0]):
            theirs = map_coordinates(images[i, channel].double().numpy(), [y, x], order=1, mode=SCIPY[border], cval=0.7)
            assert np.abs(ours[i, channel] - theirs).max() < 2e-4


@pytest.mark.parametrize("border", SCIPY)
def test_identity(border):
    images = torch.rand(2, 3, 64, 48, generator=torch_generator(0))
    points = pixel_centres(64, 48).expand(2, -1, -1, -1)
    assert torch.allclose(resample(images, points, border=border), images, atol=1e-4)
    assert torch.allclose(to_pixels(*to_centred(points)), points, atol=1e-4)


def test_unknown_border():
    with pytest.raises(SettingsError, match="mirror"):
        resample(torch.rand(1, 1, 16, 16), pixel_centres(16, 16), border="mirror")


@pytest.mark.parametrize("images", [torch.rand(1, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.uint8), torch.rand(1, 1, 8, 8)])
def test_refuses_what_is_no_batch(images):
    with pytest.raises(DataError):
        near_identity(images, torch_generator(0))


@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 96), (256, 256)])
def test_near_identity_moves_less_than_two_pixels(height, width):
    moved = near_identity_points(100, height, width, torch_generator(0), "cpu") - pixel_centres(height, width)
    centre = moved[:, :, height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1].mean(dim=(2, 3))
    assert centre.abs().max() <= 0.5 + 1e-4
    assert moved.abs().max() <= 1.5 + 1e-3
    assert centre.std(dim=0).allclose(torch.tensor(12**-0.5), atol=0.06)  # uniform within a pixel
    assert (moved[..., -1] - moved[..., 0]).abs().mean() > 0.1  # and the phase changes across the image


def test_near_identity_is_a_function_of_the_generator():
    images = torch.rand(8, 1, 32, 32, generator=torch_generator(0))
    assert torch.equal(near_identity(images, torch_generator(1)), near_identity(images, torch_generator(1)))
    assert not torch.equal(near_identity(images, torch_generator(1)), near_identity(images, torch_generator(2)))
    assert torch.equal(near_identity(images), near_identity(images))


def test_fixed_shift_blurs_as_much_as_random_ones():
    """White noise: the spectrum left by the fixed shift is the mean of those left by the random warps."""
    images = torch.rand(400, 1, 32, 32, generator=torch_generator(0))

    def spectrum(x):
        return torch.fft.rfft2(x - x.mean()).abs().square().mean(dim=(0, 1))[1:, 1:].reshape(-1)

    fixed, random, none = spectrum(near_identity(images)), spectrum(near_identity(images, torch_generator(1))), spectrum(images)
    assert abs(fixed.sum() / random.sum() - 1) < 0.03
    assert (fixed.log() - random.log()).abs().mean() < 0.1
    assert fixed.sum() < 0.6 * none.sum()


@pytest.mark.parametrize("call", [near_identity, lambda x, generator: distort(x, generator)[0]])
def test_training_in_bfloat16_reads_at_the_same_points(call):
    images = torch.rand(4, 1, 128, 128, generator=torch_generator(0))
    expected = call(images, torch_generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = call(images, torch_generator(1))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_gives_the_same():
    from novkit.distortions import UNSEEN, distort_published

    images = torch.rand(64, 1, 64, 64, generator=torch_generator(0))
    images = torch.nn.functional.avg_pool2d(images, 9, 1, 4)  # smooth, as a rounding of the points must not show
    calls = {"near": near_identity, "distort": lambda x, g: distort(x, g)[0], "published": lambda x, g: distort_published(x, g)[0]}
    for call in {**calls, **UNSEEN}.values():
        here, there = call(images, torch_generator(1)), call(images.cuda(), torch_generator(1))
        assert there.is_cuda
        assert (here - there.cpu()).abs().max() < 2e-3
