"""Generated OOD: each family against another formulation, and what all have in common."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import swirl as skimage_swirl
from skimage.transform import warp
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from novkit.distortions import UNSEEN, near_identity, unseen
from novkit.distortions.resampling import pixel_centres, resample, to_centred, to_pixels
from novkit.seeding import torch_generator

SIDE = 64


@pytest.fixture(scope="module")
def images() -> Tensor:
    """(6, 1, 64, 64): smooth noise over the whole range of grey."""
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((6, 1, SIDE, SIDE)), (0, 0, 2, 2), mode="wrap")
    low, high = noise.min(axis=(2, 3), keepdims=True), noise.max(axis=(2, 3), keepdims=True)
    return torch.from_numpy(((noise - low) / (high - low)).astype(np.float32))


def number(value: float) -> Tensor:
    return torch.full((1, 1, 1), value)


def plane(height: int = SIDE, width: int = SIDE) -> tuple[Tensor, Tensor]:
    return to_centred(pixel_centres(height, width))


def read(image: Tensor, points: tuple[Tensor, Tensor]) -> np.ndarray:
    return resample(image[None], to_pixels(*points))[0, 0].numpy()


def test_swirl_is_scikit_images(images):
    ours = read(images[0], unseen.swirl_map(*plane(), (number(0.2), number(-0.3)), number(1.3), number(2.0)))
    centre = ((0.2 + 1) * SIDE / 2 - 0.5, (-0.3 + 1) * SIDE / 2 - 0.5)
    theirs = skimage_swirl(images[0, 0].numpy(), center=centre, strength=1.3, radius=2.0 * SIDE / 2, order=1, mode="symmetric")
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(ours - images[0, 0].numpy()).max() > 0.2


def test_shear_is_torchvisions(images):
    for across, down in ((0.25, 0.0), (0.0, -0.3)):
        ours = read(images[0], unseen.shear_map(*plane(), number(across), number(down)))
        # torchvision's angles say where the image goes; ours say where it is read: the inverse, so the sign.
        shear = [math.degrees(math.atan(across)), math.degrees(math.atan(down))]
        both = torch.cat([images[0], torch.ones(1, SIDE, SIDE)])  # the second channel tells what lies inside
        theirs, inside = affine(both, 0.0, [0, 0], 1.0, shear, interpolation=InterpolationMode.BILINEAR).numpy()
        assert (inside > 0.9999).mean() > 0.8
        assert np.abs(ours - theirs)[inside > 0.9999].max() < 1e-3


def test_elastic_is_scikit_images_warp(images):
    noise = 0.05 * torch.randn(1, 2, 7, 7, generator=torch_generator(0))
    x, y = unseen.elastic_map(*plane(), noise)
    rows, columns = ((p[0].numpy() + 1) * SIDE / 2 - 0.5 for p in (y, x))
    theirs = warp(images[0, 0].numpy(), np.array([rows, columns]), order=1, mode="symmetric")
    assert np.abs(read(images[0], (x, y)) - theirs).max() < 1e-3
    shift = torch.stack([x, y], dim=1) - torch.stack(plane(), dim=1)
    assert shift.std() == pytest.approx(0.04, abs=0.02)
    assert shift.diff(dim=2).abs().max() < 0.05  # smooth: neighbours move together


def test_ripple_and_pinch_pixel_by_pixel():
    """Plain arithmetic, one pixel after the other, on an image that is not square."""
    height, width = 40, 56
    x, y = plane(height, width)
    px, py = unseen.ripple_map(x, y, number(0.7), number(0.03), number(0.5), number(1.1))
    qx, qy = unseen.pinch_map(x, y, (number(0.1), number(-0.2)), number(-0.5), number(0.6))
    for row in range(0, height, 3):
        for column in range(0, width, 3):
            a, b = (column + 0.5 - 28) / 20, (row + 0.5 - 20) / 20
            wave = 0.03 * math.sin(2 * math.pi * (a * math.cos(0.7) + b * math.sin(0.7)) / 0.5 + 1.1)
            assert px[0, row, column] == pytest.approx(a + wave * math.cos(0.7 + math.pi / 2), abs=1e-5)
            assert py[0, row, column] == pytest.approx(b + wave * math.sin(0.7 + math.pi / 2), abs=1e-5)
            distance = math.hypot(a - 0.1, b + 0.2)
            factor = 1 - 0.5 * (1 - (distance / 0.6) ** 2) ** 2 if distance < 0.6 else 1
            assert qx[0, row, column] == pytest.approx(0.1 + factor * (a - 0.1), abs=1e-5)
            assert qy[0, row, column] == pytest.approx(-0.2 + factor * (b + 0.2), abs=1e-5)


def test_swap_pixel_by_pixel(images):
    first, second, half = torch.tensor([[20.0, 22.0]]), torch.tensor([[44.0, 40.0]]), torch.tensor([7.0])
    ours = unseen.swap(images[:1], first, second, half)[0, 0].numpy()
    image = images[0, 0].numpy()
    expected = image.copy()
    for (cx, cy), (ox, oy) in (((20, 22), (44, 40)), ((44, 40), (20, 22))):
        for dy in range(-7, 8):
            for dx in range(-7, 8):
                weight = min(1.0, (7 - max(abs(dx), abs(dy))) / 2.1)
                here, there = image[cy + dy, cx + dx], image[oy + dy, ox + dx]
                expected[cy + dy, cx + dx] = (1 - weight) * here + weight * there
    assert np.abs(ours - expected).max() < 1e-5


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_blur_is_scipys(images, sigma):
    theirs = gaussian_filter(images[0, 0].numpy().astype(np.float64), sigma, mode="mirror", truncate=4.0)
    assert np.abs(unseen.gaussian_blur(images[:1], sigma)[0, 0].numpy() - theirs).max() < 2e-3


def test_disc_and_inversion_pixel_by_pixel(images):
    mask = unseen.soft_disc(*plane(), (number(0.1), number(0.2)), number(0.5))
    ours = unseen.invert(images[:1], mask, 1.0)[0, 0]
    weights = np.zeros((SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            r = math.hypot((column + 0.5) / 32 - 1 - 0.1, (row + 0.5) / 32 - 1 - 0.2) / 0.5
            weights[row, column] = 1 if r < 0.7 else 0 if r > 1 else math.cos(math.pi / 2 * (r - 0.7) / 0.3) ** 2
    assert np.abs(mask[0, 0].numpy() - weights).max() < 1e-5
    image = images[0, 0].numpy()
    mean = (image * weights).sum() / weights.sum()
    assert np.allclose(ours, np.clip(image + weights * 2 * (mean - image), 0, 1), atol=1e-5)


# ---- what all families have in common


@pytest.mark.parametrize("family", UNSEEN)
def test_severity_zero_is_near_identity(family, images):
    """The same generator: the sub-pixel warp that normals pass through is part of every family, and drawn first."""
    generated = UNSEEN[family](images, torch_generator(5), severity=0.0)
    assert (generated - near_identity(images, torch_generator(5))).abs().max() < 1e-4


@pytest.mark.parametrize("family", UNSEEN)
def test_visible_but_not_grotesque(family, images):
    normal, generated = near_identity(images, torch_generator(5)), UNSEEN[family](images, torch_generator(5))
    change = (generated - normal).abs()
    assert (change.amax(dim=(1, 2, 3)) > 0.04).all()
    assert change.mean() < 0.15
    correlation = np.corrcoef(normal.flatten(), generated.flatten())[0, 1]
    assert 0.2 < correlation < 0.9999


@pytest.mark.parametrize("family", UNSEEN)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 256, 256), (1, 16, 16)])
def test_any_size(family, channels, height, width):
    batch = torch.rand(4, channels, height, width, generator=torch_generator(0))
    result = UNSEEN[family](batch, torch_generator(1))
    assert result.shape == batch.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(result, UNSEEN[family](batch, torch_generator(1)))
    assert not torch.equal(result, UNSEEN[family](batch, torch_generator(2)))


@pytest.mark.parametrize("family", ["local_blur", "local_noise", "inversion", "swapped_patches"])
def test_local_families_leave_most_of_the_image(family, images):
    change = (UNSEEN[family](images, torch_generator(7)) - near_identity(images, torch_generator(7))).abs()
    untouched = (change < 1e-6).float().mean(dim=(1, 2, 3))
    assert (untouched > 0.5).all()
    assert (untouched < 0.97).all()
