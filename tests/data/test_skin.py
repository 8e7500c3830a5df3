"""Synthetic skin lesions: frozen bytes, order and size independence, and no statistic that gives the class away."""

import hashlib
import platform
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_opening, gaussian_filter, label
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from sklearn.metrics import roc_auc_score

from novkit.data.skin import FINGERPRINT, draw_skin, generate_skin
from novkit.errors import SettingsError
from novkit.statistics import compute_statistics

PINNED_NUMPY = "2.4.6"
# SHA-256 of the first 8 + 8 images at 64 pixels, seed 0, and their mean grey levels: change FINGERPRINT whenever these change.
FROZEN = {
    "skin-1": (
        "30f4922771492ff225eb1fdc90db85e1b87b3f610967028d22451abeac7c648c",
        [120.14, 138.2, 148.61, 156.0, 128.73, 138.15, 130.43, 116.48, 169.63, 108.45, 135.64, 167.17, 162.94, 175.51, 141.95, 121.47],
    )
}


def small(**options):
    return generate_skin(**{"size": 32, "n_benign": 20, "n_atypical": 10, "progress": False, **options})


def test_the_images_are_frozen():
    digest, means = FROZEN[FINGERPRINT]
    images = generate_skin(size=64, seed=0, n_benign=8, n_atypical=8, progress=False).images
    assert images.mean(axis=(1, 2, 3)) == pytest.approx(means, abs=0.05)  # on any platform
    if (sys.platform, platform.machine(), np.__version__) == ("linux", "x86_64", PINNED_NUMPY):
        assert hashlib.sha256(images.tobytes()).hexdigest() == digest


def test_what_it_is():
    data = small()
    assert data.images.shape == (30, 3, 32, 32)
    assert data.images.dtype == np.uint8
    assert data.table["label"].value_counts().to_dict() == {"benign": 20, "atypical": 10}
    assert data.table["group"].is_unique
    assert data.normal == "benign"
    assert data.synthetic
    assert "Synthetic" in data.source
    assert data.masks is None
    assert (data.images.std(axis=(1, 2, 3)) > 3).all()


def test_an_image_depends_on_seed_class_and_index_alone():
    data, larger, other = small(), small(n_benign=25, n_atypical=12), small(seed=1)
    assert np.array_equal(data.images[:20], larger.images[:20])
    assert np.array_equal(data.images[20:], larger.images[25:35])
    assert np.array_equal(data.images[23], draw_skin("atypical", 3, size=32))
    assert (data.images != other.images).any(axis=(1, 2, 3)).all()
    assert data.fingerprint != other.fingerprint
    assert len({image.tobytes() for image in data.images}) == len(data)


def test_another_size_shows_the_same_lesions():
    for name in ("benign", "atypical"):
        for index in range(5):
            large, little = (draw_skin(name, index, size=size).astype(float) for size in (96, 48))
            shrunk = large.reshape(3, 48, 2, 48, 2).mean(axis=(2, 4))
            assert np.corrcoef(shrunk.ravel(), little.ravel())[0, 1] > 0.9


def check_statistics(size: int, n: int) -> None:
    data = generate_skin(size=size, seed=0, n_benign=n, n_atypical=n, progress=False)
    table = compute_statistics(data.images)
    for name in table:
        auroc = roc_auc_score(data.labels == "atypical", table[name])
        assert max(auroc, 1 - auroc) <= 0.65, f"{name} tells the classes apart: AUROC {auroc:.3f}"


def test_no_single_statistic_tells_the_classes_apart():
    check_statistics(32, 500)


@pytest.mark.slow
def test_no_single_statistic_tells_the_classes_apart_at_the_default_size():
    check_statistics(64, 1000)


def border_and_colour(image: np.ndarray) -> tuple[float, float]:
    """By textbook segmentation: how far the lesion is from convex, and how much its red varies (a* of CIELAB)."""
    lab = rgb2lab(image.transpose(1, 2, 0))
    lightness = gaussian_filter(lab[..., 0], 1.5)
    y, x = np.mgrid[-1 : 1 : 1j * len(lab), -1 : 1 : 1j * len(lab)]
    disc = np.hypot(x, y) < 0.97  # without the corners of the tube
    dark = binary_opening((lightness < threshold_otsu(lightness[disc])) & disc, iterations=3)  # without hairs
    lesion = max(regionprops(label(dark)[0]), key=lambda region: region.area)
    return 1 - lesion.solidity, lab[tuple(lesion.coords.T)][:, 1].std()


def test_atypical_lesions_are_less_regular_and_more_colourful():
    """What the class is about is there, though no plain statistic shows it."""
    data = generate_skin(size=96, seed=0, n_benign=80, n_atypical=80, progress=False)
    border, colour = np.array([border_and_colour(image) for image in data.images]).T
    assert roc_auc_score(data.labels == "atypical", border) > 0.85
    assert roc_auc_score(data.labels == "atypical", colour) > 0.85


def test_errors():
    for options in ({"size": 8}, {"size": 1024}, {"n_benign": -1}, {"n_benign": 0, "n_atypical": 0}):
        with pytest.raises(SettingsError):
            small(**options)
