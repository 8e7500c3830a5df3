"""The humble statistics, against brute force and scipy."""

import numpy as np
import pytest
from scipy import ndimage

from novkit.errors import DataError, SettingsError
from novkit.statistics import STATISTICS, compute_statistics


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 1, 12, 16), dtype=np.uint8)


def test_against_brute_force(images):
    table = compute_statistics(images)
    assert list(table) == list(STATISTICS)
    for row, image in zip(table.itertuples(), images[:, 0] / 255.0, strict=True):
        pixels = np.sort(image.ravel())
        assert row.mean == pytest.approx(pixels.sum() / pixels.size)
        assert row.std == pytest.approx(np.sqrt(((pixels - pixels.mean()) ** 2).mean()))
        assert (row.minimum, row.maximum) == pytest.approx((pixels[0], pixels[-1]))
        for share in (1, 25, 50, 75, 99):
            at = share / 100 * (pixels.size - 1)
            low = int(at)
            expected = pixels[low] + (at - low) * (pixels[low + 1] - pixels[low])
            assert getattr(row, f"percentile_{share}") == pytest.approx(expected)
        assert row.centre_brightness == pytest.approx(image[3:9, 4:12].mean())
        mirrored = sum(abs(image[i, j] - image[i, 15 - j]) for i in range(12) for j in range(16)) / image.size
        assert row.asymmetry == pytest.approx(mirrored)
        laplacian = ndimage.laplace(image)[1:-1, 1:-1]
        assert row.high_frequency_energy == pytest.approx((laplacian**2).mean())


def test_symmetric_image_has_no_asymmetry_and_a_ramp_no_high_frequencies():
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, None, :, None].repeat(16, axis=3)
    row = compute_statistics(ramp).iloc[0]
    assert row["asymmetry"] == 0
    assert row["high_frequency_energy"] == pytest.approx(0, abs=1e-12)


def test_depth_and_colour_do_not_matter(images):
    expected = compute_statistics(images)
    np.testing.assert_allclose(compute_statistics(images.astype(np.uint16) * 257), expected)
    np.testing.assert_allclose(compute_statistics(images.repeat(3, axis=1)), expected)
    np.testing.assert_allclose(compute_statistics((images / 255).astype(np.float32)), expected, atol=1e-6)


def test_long_memory_map_is_read_in_parts(tmp_path, images):
    many = np.concatenate([images] * 103)  # more than two parts of 256
    np.save(tmp_path / "many.npy", many)
    table = compute_statistics(np.load(tmp_path / "many.npy", mmap_mode="r"), ["mean", "percentile_99"])
    assert list(table) == ["mean", "percentile_99"]
    np.testing.assert_allclose(table["mean"], many.mean(axis=(1, 2, 3)) / 255)


def test_errors(images):
    with pytest.raises(SettingsError, match="kurtosis"):
        compute_statistics(images, ["kurtosis"])
    with pytest.raises(DataError, match="shape"):
        compute_statistics(images[0])
