"""The default family: its geometry, its properties, and that neither blur nor fill tells x from T(x)."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score
from torch import Tensor

from novkit.distortions import KINDS, TrainingFamily, apply_kind, distort, distort_published, near_identity, training
from novkit.distortions.resampling import pixel_centres, to_centred
from novkit.errors import SettingsError
from novkit.seeding import torch_generator
from novkit.statistics import compute_statistics


def natural(n: int, side: int = 64, channels: int = 1) -> Tensor:
    """Textures with the 1/f spectrum of natural images."""
    noise = np.random.default_rng(0).standard_normal((n, channels, side, side))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    frequency[0, 0] = 1 / side
    texture = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.3).real
    low, high = texture.min(axis=(1, 2, 3), keepdims=True), texture.max(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(((texture - low) / (high - low)).astype(np.float32))


def warped(kind: str, amount: float, u: list[float], side: int = 48) -> np.ndarray:
    """(2, side, side): where the map of one kind reads, in centred coordinates; float64."""
    x, y = to_centred(pixel_centres(side, side).double())
    a = torch.tensor(amount, dtype=torch.float64).view(1, 1, 1)
    numbers = torch.tensor(u, dtype=torch.float64).view(6, 1, 1, 1)
    return torch.stack(training.MAPS[kind](x, y, a, numbers))[:, 0].numpy()


def grid(side: int = 48) -> np.ndarray:
    x = (np.arange(side) + 0.5) * (2 / side) - 1
    return np.stack(np.meshgrid(x, x))


# ---- geometry, each against another formulation


@pytest.mark.parametrize("u1", [-0.7, 0.1, 0.9])
def test_perspective_is_a_true_homography(u1):
    """A homography fitted to four corners predicts every other point, and no affine map does."""
    source, target = grid().reshape(2, -1), warped("perspective", 0.8, [1, u1, 0, 0, 0, 0]).reshape(2, -1)
    corners = [0, 47, 48 * 47, 48 * 48 - 1]
    rows = []
    for i in corners:
        (x, y), (p, q) = source[:, i], target[:, i]
        rows += [[x, y, 1, 0, 0, 0, -p * x, -p * y, -p], [0, 0, 0, x, y, 1, -q * x, -q * y, -q]]
    h = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    predicted = h @ np.vstack([source, np.ones(source.shape[1])])
    assert np.abs(predicted[:2] / predicted[2] - target).max() < 1e-6
    design = np.vstack([source, np.ones(source.shape[1])]).T
    affine = design @ np.linalg.lstsq(design, target.T, rcond=None)[0]
    assert np.abs(affine.T - target).max() > 0.2


@pytest.mark.parametrize("kind", ["affine", "similarity", "translation"])
def test_affine_kinds(kind):
    """Jacobians by least squares: orthogonal columns (no shear), of equal length for a similarity, the unit matrix for a shift."""
    u = [-1, 0.3, 0.8, -0.5, 0.6, 0.0]
    design = np.vstack([grid().reshape(2, -1), np.ones(48 * 48)]).T
    target = warped(kind, 0.9, u).reshape(2, -1).T
    solution, residual, *_ = np.linalg.lstsq(design, target, rcond=None)
    assert residual.max() < 1e-9
    jacobian = solution[:2].T
    assert abs(jacobian[:, 0] @ jacobian[:, 1]) < 1e-9
    assert np.linalg.det(jacobian) == pytest.approx(1)
    lengths = np.linalg.norm(jacobian, axis=0)
    assert (kind == "affine") == (abs(lengths[0] - lengths[1]) > 0.1)
    assert (kind == "translation") == np.allclose(jacobian, np.eye(2))
    assert (kind == "translation") <= (np.hypot(*solution[2]) == pytest.approx(0.6 * 0.9))


def test_barrel_and_its_inverse_are_radial_and_opposite():
    x, y = grid()
    r = np.hypot(x, y)
    for sign in (1, -1):
        p, q = warped("barrel", 0.7, [sign, 0, 0, 0, 0.4, 0])
        assert np.abs(p * y - q * x).max() < 1e-9  # along the ray
        polynomial = 1 + 1.2 * 0.7 * (0.3 * r + 0.7 * r**2)
        assert np.allclose(np.hypot(p, q), r * polynomial if sign > 0 else r / polynomial)


@pytest.mark.parametrize(("kind", "curvature"), [("arc", 0.7), ("polar", 2.2)])
def test_arc_and_polar_are_angle_and_radius(kind, curvature):
    """Wrapping the source back by x = sin θ / k … must land on the grid: the formula of the other direction."""
    k = curvature * 0.8
    along, across = warped(kind, 0.8, [0] * 6)
    radius, angle = 1 / k - across, along * k
    x, y = grid()
    assert np.allclose(radius * np.sin(angle), x, atol=1e-6)
    assert np.allclose(1 / k - radius * np.cos(angle), y, atol=1e-6)


# ---- properties


@pytest.mark.parametrize("kind", KINDS)
def test_amount_zero_is_the_identity_and_small_amounts_are_close(kind):
    images = natural(4)
    assert (apply_kind(images, kind, 0.0) - images).abs().max() < 1e-3
    assert 1e-5 < (apply_kind(images, kind, 0.003) - images).abs().max() < 0.1
    change = [(apply_kind(images, kind, amount) - images).abs().mean().item() for amount in (0.05, 0.15, 0.5)]
    assert change[0] < change[1] < change[2]


@pytest.mark.parametrize("kind", KINDS)
def test_batch_does_not_matter(kind):
    images, amounts = natural(8, 32), torch.linspace(0, 1, 8)
    together = apply_kind(images, kind, amounts)
    for i in range(8):
        assert torch.allclose(apply_kind(images[i : i + 1], kind, amounts[i : i + 1])[0], together[i], atol=1e-5)


def test_other_images_do_not_matter():
    images = natural(16, 32)
    first, kinds = distort(images, torch_generator(3))
    changed = torch.cat([images[:8], 1 - images[8:]])
    second, same = distort(changed, torch_generator(3))
    assert torch.equal(kinds, same)
    assert torch.equal(first[:8], second[:8])
    assert not torch.equal(first[8:], second[8:])


@pytest.mark.parametrize("portion", [1, 3, 16])
def test_the_portions_a_processor_works_in_do_not_matter(portion, monkeypatch):
    """Whatever the portion, each kind's images and windows stay their own: the same pictures but for rounding."""
    images = natural(16, 32)
    whole, kinds = distort(images, torch_generator(3))
    warped = near_identity(images, torch_generator(3))
    monkeypatch.setattr("novkit.distortions.resampling._PIECE", portion * 32 * 32)
    again, same = distort(images, torch_generator(3))
    assert torch.equal(kinds, same)
    assert torch.allclose(again, whole, atol=1e-4)
    assert torch.allclose(near_identity(images, torch_generator(3)), warped, atol=1e-5)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 96), (1, 256, 256), (1, 16, 40)])
@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_any_size(channels, height, width, strength):
    images = torch.rand(16, channels, height, width, generator=torch_generator(0))
    result, kinds = distort(images, torch_generator(1), TrainingFamily(strength=strength))
    again, _ = distort(images, torch_generator(1), TrainingFamily(strength=strength))
    assert torch.equal(result, again)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert kinds.shape == (16,)
    assert result.isfinite().all()
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_kinds_are_equally_likely_and_as_chosen():
    images = torch.rand(700, 1, 16, 16, generator=torch_generator(0))
    counts = torch.bincount(distort(images, torch_generator(1))[1], minlength=7)
    assert counts.min() > 60
    kinds = distort(images, torch_generator(1), TrainingFamily(kinds=("arc", "barrel")))[1]
    assert set(kinds.tolist()) == {0, 1}
    single = distort(images[:8], torch_generator(1), TrainingFamily(kinds=("translation",), weakest=1.0, zoom=0.0))[0]
    assert single.shape == images[:8].shape


@pytest.mark.parametrize("wrong", [{"kinds": ()}, {"kinds": ("swirl",)}, {"strength": -1}, {"weakest": 2}, {"zoom": 3}])
def test_settings_are_checked(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainingFamily(**wrong)


@pytest.mark.parametrize("amount", [-0.1, 2.5, float("nan")])
def test_amount_is_checked(amount):
    with pytest.raises(SettingsError, match="arc"):
        apply_kind(torch.rand(2, 1, 16, 16), "arc", amount)


# ---- shortcuts


def detail(images: Tensor) -> np.ndarray:
    return np.array([np.square(i - gaussian_filter(i, 1.0)).mean() for i in images[:, 0].numpy()])


def constant(images: Tensor) -> np.ndarray:
    return (images.diff(dim=3).abs() < 0.5 / 255).float().mean(dim=(1, 2, 3)).numpy()


def dark(images: Tensor) -> np.ndarray:
    return (images < 0.02).float().mean(dim=(1, 2, 3)).numpy()


def auroc(statistic, normal: Tensor, other: Tensor) -> float:
    return roc_auc_score([0] * len(normal) + [1] * len(other), np.r_[statistic(normal), statistic(other)])


@pytest.fixture(scope="module")
def framed():
    """400 textures inside a black frame, as most medical images are."""
    x, y = grid(64)
    return natural(400) * torch.from_numpy((np.hypot(x, 1.2 * y) < 0.9).astype(np.float32))


@pytest.mark.parametrize("statistic", [detail, constant, dark])
@pytest.mark.parametrize("frame", [False, True])
def test_nothing_tells_x_from_a_weak_transformation(statistic, frame, framed):
    images = framed if frame else natural(400)
    normal = near_identity(images, torch_generator(0, "x"))
    for strength in (0.0, 0.02):
        weak, _ = distort(images, torch_generator(0, "t"), TrainingFamily(strength=strength))
        assert 0.4 < auroc(statistic, normal, weak) < 0.6


def test_the_statistics_would_notice(framed):
    """The same statistics tell an image that was not resampled, and the published transformations, at once."""
    normal = near_identity(framed, torch_generator(0, "x"))
    images = natural(400)
    assert auroc(detail, near_identity(images, torch_generator(0, "x")), images) > 0.9
    assert auroc(constant, near_identity(images, torch_generator(0, "x")), distort_published(images, torch_generator(0))[0]) > 0.75
    assert auroc(detail, normal, framed) > 0.65


@pytest.mark.parametrize("frame", [False, True])
def test_detail_hardly_tells_strong_transformations(frame, framed):
    images = framed if frame else natural(400)
    normal = near_identity(images, torch_generator(0, "x"))
    assert 0.35 < auroc(detail, normal, distort(images, torch_generator(0, "t"))[0]) < 0.65


# ---- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_leaves_the_rest_alone_and_holds_the_whole_map_at_its_centre():
    """Against a pixel-by-pixel rendering of one window: the map, shrunk about the centre, fading as (1 − (r/ρ)²)²."""
    side = 32
    settings = TrainingFamily(local=1.0)
    windows = training.Windows.draw(3, side, side, torch_generator(0), settings)
    points = pixel_centres(side, side, torch.device("cpu")).expand(3, -1, -1, -1)
    shift = 4.0
    result = windows.blend(points, windows.magnified(points) + shift)
    for n in range(3):
        (cx, cy), radius, scale = windows.centre[n].flatten().tolist(), float(windows.radius[n]), float(windows.scale[n])
        assert 0.3 <= scale <= 0.7
        assert radius == pytest.approx(scale * side / 2)
        for row in range(0, side, 3):
            for column in range(0, side, 3):
                x, y = column + 0.5, row + 0.5
                inside = max(0.0, 1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2) ** 2
                expected = [x + inside * shift * scale, y + inside * shift * scale]
                np.testing.assert_allclose(result[n, :, row, column], expected, atol=1e-3)


def test_the_share_of_local_images_is_as_chosen():
    radius = training.Windows.draw(4000, 64, 64, torch_generator(1), TrainingFamily(local=0.8)).radius
    assert torch.isfinite(radius).double().mean() == pytest.approx(0.8, abs=0.03)
    assert torch.isinf(training.Windows.draw(9, 64, 64, torch_generator(1), TrainingFamily(local=0.0)).radius).all()


def test_local_maps_cannot_be_told_by_any_single_statistic():
    x = natural(400)
    normal, local = near_identity(x, torch_generator(2)), distort(x, torch_generator(3), TrainingFamily(local=1.0))[0]
    a, b = compute_statistics(normal.numpy()), compute_statistics(local.numpy())
    for name in a.columns:
        value = roc_auc_score(np.repeat([0, 1], 400), np.concatenate([a[name], b[name]]))
        assert 0.43 < value < 0.57, (name, value)
    assert (normal - local).abs().amax(dim=(1, 2, 3)).median() > 0.05


@pytest.mark.parametrize("wrong", [{"local": 1.5}, {"local": -0.1}, {"window": (0.0, 0.5)}, {"window": (0.6, 0.5)}])
def test_window_settings_are_checked(wrong):
    with pytest.raises(SettingsError):
        TrainingFamily(**wrong)
