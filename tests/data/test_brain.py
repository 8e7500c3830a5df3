"""The embedded brain slices: anatomy without folds, lesions where they belong, the same bytes for the same seed, calibration."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline

from novkit.data import brain
from novkit.data.brain import anatomy, calibration, lesions
from novkit.errors import SettingsError
from novkit.seeding import numpy_generator


@pytest.fixture(scope="module")
def dataset():
    return brain.generate_brain(n_healthy=14, n_novel=9, seed=3, progress=False)


def test_what_comes_back(dataset):
    assert dataset.images.shape == (14 + 5 * 9, 1, 64, 64)
    assert dataset.images.dtype == np.uint8
    assert dataset.masks.dtype == dataset.body.dtype == bool
    assert dataset.synthetic
    assert dataset.normal == "healthy"
    assert dict(dataset.table["label"].value_counts()) == {"healthy": 14} | dict.fromkeys(brain.CONDITIONS[1:], 9)
    assert (dataset.table.groupby("group")["label"].nunique() == 1).all()
    assert dataset.table["group"].value_counts().max() == 4
    np.testing.assert_array_equal(dataset.table["lesion_area"], dataset.masks.sum(axis=(1, 2)))


def test_lesions_lie_in_the_brain_and_only_where_there_is_one(dataset):
    area = dataset.table["lesion_area"]
    healthy = dataset.labels == "healthy"
    assert (area[healthy] == 0).all()
    assert (area[~healthy] > 0).all()
    assert not (dataset.masks & ~dataset.body).any()
    brain_share = dataset.body.mean(axis=(1, 2))
    assert ((brain_share > 0.2) & (brain_share < 0.65)).all()


def test_a_subject_depends_on_nothing_else(dataset):
    fewer = brain.generate_brain(n_healthy=1, n_novel=6, conditions=("infarct", "glioma"), seed=3, progress=False)
    for condition in ("infarct", "glioma"):
        few, many = fewer.labels == condition, dataset.labels == condition
        np.testing.assert_array_equal(fewer.images[few], dataset.images[many][:6])
        np.testing.assert_array_equal(fewer.masks[few], dataset.masks[many][:6])
    other = brain.generate_brain(n_healthy=4, n_novel=1, conditions=("healthy",), seed=4, progress=False)
    assert (other.images != dataset.images[:4]).mean() > 0.3
    assert other.fingerprint != dataset.fingerprint


def test_frozen():
    """Any change to the pictures changes the fingerprint: results made before would no longer compare."""
    assert brain.fingerprint() == brain.FINGERPRINT


@pytest.mark.parametrize("condition", brain.CONDITIONS)
def test_the_lesion_is_the_same_in_every_contrast_and_size(condition):
    parts = {contrast: brain.subject(5, condition, 1, contrast=contrast) for contrast in ("flair", "t1", "t2")}
    for contrast in ("t1", "t2"):
        np.testing.assert_array_equal(parts["flair"][1], parts[contrast][1])
        assert (parts["flair"][0] != parts[contrast][0]).mean() > 0.3
    large = brain.subject(5, condition, 1, size=128)
    small_share, large_share = (part[1].sum() / part[2].sum() for part in (parts["flair"], large))
    assert large_share == pytest.approx(small_share, rel=0.25, abs=0.003)


@pytest.mark.parametrize(("contrast", "order"), [("flair", ("gm", "wm", "csf")), ("t1", ("wm", "gm", "csf")), ("t2", ("csf", "gm", "wm"))])
def test_tissues_are_as_bright_as_the_sequence_wants(contrast, order):
    for index in range(4):
        head = anatomy.Anatomy.draw(numpy_generator(0, "brain", "healthy", index, "anatomy"), 4)
        cut = anatomy.cut(head, 128)
        images = brain.subject(0, "healthy", index, size=128, contrast=contrast)[0]
        deep = cut.outside < -8
        values = [np.median(images[deep & (getattr(cut, tissue) > 0.9)]) for tissue in order]
        assert values[0] > values[1] > values[2], values


def test_gliomas_are_brighter_than_the_brain_on_flair():
    dataset = brain.generate_brain(n_novel=80, n_healthy=1, conditions=("glioma",), seed=1, progress=False)
    contrast = []
    for image, lesion, body in zip(dataset.images[:, 0].astype(float), dataset.masks, dataset.body, strict=True):
        rest = image[ndimage.binary_erosion(body, iterations=2) & ~lesion]
        contrast.append((np.median(image[lesion]) - np.median(rest)) / rest.std())
    assert np.median(contrast) > 1.2  # standard deviations of the brain: seen at once


def test_anatomy_never_folds():
    """The Jacobian determinant of subject -> template stays positive, mass effect included."""
    smallest = []
    for index in range(12):
        rng = numpy_generator(7, "fold", index)
        head = replace(anatomy.Anatomy.draw(rng, 4), z=np.arange(0.0, 28.0, 3.0))
        push = anatomy.Push((rng.uniform(-40, 40), rng.uniform(-60, 60), 14.0), 40.0, 0.4)
        axis_y, axis_x = head.axes(64)
        maps = anatomy.template_coordinates(head, 64, push)
        jacobian = np.array([np.gradient(component, head.z, axis_y, axis_x) for component in maps])  # [component, (z, y, x)]
        determinant = np.linalg.det(np.moveaxis(jacobian[:, ::-1], (0, 1), (-2, -1)))
        smallest.append(determinant.min())
    assert min(smallest) > 0.1


def test_fields_are_cubic_b_splines():
    field = anatomy.Field.draw(np.random.default_rng(0), 20.0, 1.0)
    x = np.linspace(-100, 100, 41)
    row = field.on(np.array([14.0]), np.array([3.0]), x)[0, 0, 0]
    n = field.knots.shape[-1]
    start = -anatomy.HALF_FIELD - field.spacing
    basis = BSpline(start + field.spacing * (np.arange(n + 4) - 2), np.eye(n), 3, extrapolate=False)(x)
    np.testing.assert_allclose(anatomy._basis(x, start, 20.0, n), basis, atol=1e-12)
    np.testing.assert_allclose(basis.sum(axis=1), 1)
    assert np.abs(row).max() < np.abs(field.knots).max()


def test_sampling_agrees_with_scipy():
    values = np.random.default_rng(0).random((6, 7, 8, 2), dtype=np.float32)
    volume = anatomy.Volume(values, (-3.0, 1.0, 2.0), 2.0)
    points = tuple(np.random.default_rng(1).uniform(-6, 20, (3, 5, 4)))
    index = [(mm - origin) / 2.0 for mm, origin in zip(points, volume.origin, strict=True)]
    for channel, found in enumerate(volume.at(points)):
        expected = ndimage.map_coordinates(values[..., channel].astype(float), index, order=1, mode="nearest")
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_lesion_areas_have_the_quartiles_asked_for():
    rng = np.random.default_rng(0)
    drawn = [lesions.draw_lognormal(rng, (0.05, 0.1, 0.2), (0, 1)) for _ in range(4000)]
    np.testing.assert_allclose(np.quantile(drawn, (0.25, 0.5, 0.75)), (0.05, 0.1, 0.2), rtol=0.1)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"size": 100}, "size"), ({"contrast": "dwi"}, "dwi"), ({"conditions": ("flu",)}, "flu"), ({"n_novel": 0}, "n_novel")],
)
def test_errors(options, word):
    with pytest.raises(SettingsError, match=word):
        brain.generate_brain(progress=False, **options)


@pytest.mark.slow
def test_no_simple_statistic_gives_a_condition_away():
    table = calibration.calibration_table(seed=0, contrast="flair", size=64, images=1000, progress=False)
    assert set(table.index) == set(calibration.CALIBRATED)
    assert table.to_numpy().min() >= 0.5
    assert table.to_numpy().max() <= calibration.BOUND, table.round(3).to_string()
