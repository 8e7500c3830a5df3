"""DICOM and NIfTI: closed forms for files made here, and the libraries' own test files."""

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from novkit.data.formats import axial_view, read_dicom, read_volume
from novkit.data.reading import read_image
from novkit.errors import DataError
from tests.data.layouts import dicom, rng

NIBABEL_FILES = Path(nibabel.__file__).parent / "tests/data"


def saved(made: pydicom.Dataset, file: Path) -> Path:
    made.save_as(file, enforce_file_format=True)
    return file


# ---- DICOM ------------------------------------------------------------------------------------------------------------------


def test_monochrome1_of_twelve_bits_is_inverted_over_its_twelve_bits(tmp_path):
    stored = rng().integers(0, 4096, (10, 14)).astype(np.uint16)
    stored[0, :2] = 0, 4095
    bright = read_dicom(saved(dicom(stored, bits=12, photometric="MONOCHROME2"), tmp_path / "2.dcm"))
    dark = read_dicom(saved(dicom(stored, bits=12, photometric="MONOCHROME1"), tmp_path / "1.dcm"))
    assert bright.dtype == np.uint16
    assert bright.shape == (1, 10, 14)
    assert np.array_equal(bright[0], np.rint(stored * (65535 / 4095)))
    assert np.array_equal(dark, 65535 - bright)
    assert dark[0, 0, 0] == 65535  # stored 0 is white there
    eight = read_dicom(tmp_path / "1.dcm", bits=8)
    assert eight.dtype == np.uint8
    assert np.abs(eight / 255 - dark / 65535).max() < 0.51 / 255


def test_window_after_rescale(tmp_path):
    """PS3.3 C.11.2.1.2.1: below centre − 0.5 − (width − 1)/2 all is black, above centre − 0.5 + (width − 1)/2 white, linear between."""
    stored = rng().integers(-1000, 1000, (20, 20)).astype(np.int16)
    tags = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": [40, 500], "WindowWidth": [400, 10]}
    image = read_dicom(saved(dicom(stored, bits=16, **tags), tmp_path / "ct.dcm"))
    values = 2.0 * stored - 100
    unit = np.clip((values - (40 - 0.5)) / (400 - 1) + 0.5, 0, 1)
    assert 0.05 < ((unit > 0) & (unit < 1)).mean() < 0.5
    assert np.abs(image[0] - unit * 65535).max() <= 0.5 + 1e-6


def test_voi_lookup_table(tmp_path):
    stored = rng().integers(0, 16, (8, 8)).astype(np.uint8)
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [16, 0, 8], (np.arange(16, dtype=np.uint8) ** 2 // 1).astype(np.uint16).tolist()
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "US"
    image = read_dicom(saved(dicom(stored, bits=8, VOILUTSequence=[table]), tmp_path / "lut.dcm"))
    assert np.array_equal(image[0], stored.astype(int) ** 2)


def test_eight_bits_stay_as_they_are_also_as_jpeg(tmp_path):
    """RSNA's images are baseline JPEG in DICOM: what Pillow decodes from the same bytes."""
    stored = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    assert np.array_equal(read_dicom(saved(dicom(stored, bits=8), tmp_path / "raw.dcm"))[0], stored)
    Image.fromarray(stored).save(tmp_path / "x.jpg", quality=90)
    made = dicom(stored, bits=8)
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([(tmp_path / "x.jpg").read_bytes()])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    assert np.array_equal(read_dicom(saved(made, tmp_path / "x.dcm"))[0], np.asarray(Image.open(tmp_path / "x.jpg")))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("behind", [b"", b"\0", b"x" * 3_000_000], ids=["nothing", "a byte", "more than is read at once"])
def test_what_stands_behind_a_deflated_data_set_does_not_matter(tmp_path, behind):
    stored = rng().integers(0, 256, (1100, 1200)).astype(np.uint8)
    made = dicom(stored, bits=8)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = saved(made, tmp_path / "x.dcm")
    file.write_bytes(file.read_bytes() + behind)
    assert np.array_equal(read_dicom(file)[0], stored)


def test_pydicoms_own_files():
    """Signed 16 bits without a window map one to one; one MR image in several encodings is one image; RGB is RGB."""
    file = get_testdata_file("CT_small.dcm", download=False)
    raw = np.frombuffer(pydicom.dcmread(file).PixelData, "<i2").reshape(128, 128)
    assert np.array_equal(read_dicom(Path(file))[0], raw.astype(int) + 2**15)
    same = ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm")
    images = [read_dicom(Path(get_testdata_file(name, download=False))) for name in same]
    assert all(np.array_equal(images[0], image) for image in images)
    assert images[0].std() > 1000
    file = get_testdata_file("SC_rgb_small_odd.dcm", download=False)
    assert np.array_equal(read_image(Path(file)).transpose(1, 2, 0).ravel(), np.frombuffer(pydicom.dcmread(file).PixelData, np.uint8)[:27])


def test_dicom_errors_name_the_file(tmp_path, monkeypatch):
    for name, message in (("rtdose.dcm", "15 frames"), ("rtplan.dcm", "cannot be read as a DICOM"), ("MR_truncated.dcm", "cannot be read")):
        with pytest.raises(DataError, match=rf"{name}.*{message}"):
            read_dicom(Path(get_testdata_file(name, download=False)))
    (tmp_path / "no.dcm").write_text("no")
    with pytest.raises(DataError, match=r"no\.dcm"):
        read_dicom(tmp_path / "no.dcm")
    with pytest.raises(DataError, match=r"gone\.dcm does not exist"):
        read_dicom(tmp_path / "gone.dcm")
    monkeypatch.setattr("novkit.data.formats.MAX_PIXELS", 100)
    with pytest.raises(DataError, match="128×128 pixels"):
        read_dicom(Path(get_testdata_file("CT_small.dcm", download=False)))


# ---- NIfTI ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
def test_every_orientation_is_turned_to_the_same_volume(tmp_path, axes, flips):
    """The stored array is the volume with its axes exchanged and reversed; the affine, written by hand, says so."""
    volume = rng().integers(0, 1000, (5, 6, 7)).astype(np.int16)
    spacing, origin = np.array([1.0, 1.5, 4.0]), np.array([-3.0, 8.0, 20.0])
    stored = np.flip(volume.transpose(axes), [k for k in range(3) if flips[k]])
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    affine[:3, 3] = origin
    for k, axis in enumerate(axes):  # stored axis k runs along world axis `axis`
        affine[axis, k] = -spacing[axis] if flips[k] else spacing[axis]
        if flips[k]:
            affine[axis, 3] += spacing[axis] * (volume.shape[axis] - 1)
    nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "x.nii.gz")
    read = read_volume(tmp_path / "x.nii.gz")
    assert np.array_equal(read.values, volume)
    assert read.spacing == tuple(spacing)


def test_front_is_at_the_top_and_the_patients_right_on_the_left():
    plane = np.zeros((10, 20))
    plane[8, 17] = 1  # far to the right and to the front
    assert axial_view(plane).shape == (20, 10)
    assert list(np.argwhere(axial_view(plane))[0]) == [2, 1]


def test_nibabels_own_files():
    """anatomical.nii runs to the left: its canonical form is the stored array, mirrored."""
    image = nibabel.load(NIBABEL_FILES / "anatomical.nii")
    assert nibabel.aff2axcodes(image.affine) == ("L", "A", "S")
    read = read_volume(NIBABEL_FILES / "anatomical.nii")
    assert np.array_equal(read.values, np.asarray(image.dataobj, np.float32)[::-1])
    assert read.spacing == (2.0, 2.0, 2.0)
    with pytest.raises(DataError, match="4 dimensions"):
        read_volume(NIBABEL_FILES / "functional.nii")


def test_nifti_scaling_and_damage(tmp_path, monkeypatch):
    volume = rng().random((2, 3, 4)) * 10 - 3
    image = nibabel.Nifti1Image(volume, np.eye(4))
    image.set_data_dtype(np.int16)  # stored as whole numbers with slope and intercept
    nibabel.save(image, tmp_path / "x.nii.gz")
    assert np.abs(read_volume(tmp_path / "x.nii.gz").values - volume).max() < 10 / 2**15
    content = (tmp_path / "x.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.nii").write_text("no")
    for name in ("cut.nii.gz", "text.nii", "gone.nii"):
        with pytest.raises(DataError, match=name):
            read_volume(tmp_path / name)
    monkeypatch.setattr("novkit.data.formats.MAX_VOXELS", 20)
    with pytest.raises(DataError, match="2×3×4 voxels"):
        read_volume(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("kind", ["complex64", "complex128", "RGB"])
def test_a_volume_of_no_real_numbers_is_refused(tmp_path, kind):
    """A complex one would lose its imaginary part without a word."""
    dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]) if kind == "RGB" else np.dtype(kind)
    for name in ("x.nii", "x.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), dtype), np.eye(4)), tmp_path / name)
        with pytest.raises(DataError, match=rf"{name} holds complex numbers or colours"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"])
def test_volumes_of_every_real_type_are_read(tmp_path, kind):
    volume = rng().integers(0, 100, (3, 4, 5)).astype(kind)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-1.0, 1.0, 1.0, 1.0]), header), tmp_path / "x.nii.gz")
    read = read_volume(tmp_path / "x.nii.gz")
    assert read.values.dtype == np.float32
    assert np.array_equal(read.values, volume[::-1].astype(np.float32))


def test_a_gzipped_volume_is_bounded_as_every_file_is(tmp_path, monkeypatch):
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 20, 20), np.int16), np.eye(4)), tmp_path / "x.nii.gz")
    needed = 352 + 2 * 20**3
    monkeypatch.setattr("novkit.data.formats.unpacked_limit", lambda file: needed)
    assert read_volume(tmp_path / "x.nii.gz").values.shape == (20, 20, 20)
    monkeypatch.setattr("novkit.data.formats.unpacked_limit", lambda file: needed - 1)
    with pytest.raises(DataError, match=r"x\.nii\.gz is too small for the volume"):
        read_volume(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("kind", ["MONOCHROME1", "window", "lookup table", "palette", "RGB"])
def test_an_image_is_the_same_in_one_strip_or_in_many(tmp_path, monkeypatch, kind):
    """Rescaled some rows at a time: it is pixel by pixel."""
    stored, table = rng().integers(0, 256 if kind == "palette" else 4096, (37, 41)).astype(np.uint16), pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], (np.arange(4096) ** 2 // 300).tolist()
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    options = {"MONOCHROME1": {"photometric": "MONOCHROME1"}, "lookup table": {"VOILUTSequence": [table]},
               "window": {"WindowCenter": 900, "WindowWidth": 1500, "RescaleSlope": 0.37, "RescaleIntercept": -11},
               "palette": {"photometric": "PALETTE COLOR"}}  # fmt: skip
    if kind == "RGB":
        file = Path(get_testdata_file("SC_rgb_small_odd.dcm", download=False))
    else:
        made = dicom(stored, bits=12, **options[kind])
        for number, colour in enumerate(("Red", "Green", "Blue") * (kind == "palette")):
            setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(made, f"{colour}PaletteColorLookupTableData", rng(number).integers(0, 2**16, 256).astype("<u2").tobytes())
            made[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        file = saved(made, tmp_path / "x.dcm")
    whole = read_dicom(file)
    assert len(whole) == (3 if kind in ("palette", "RGB") else 1)
    assert len(np.unique(whole)) > 5
    monkeypatch.setattr("novkit.data.formats._STRIP", 100)
    assert np.array_equal(read_dicom(file), whole)
    monkeypatch.setattr("novkit.data.formats._STRIP", 1)
    assert np.array_equal(read_dicom(file), whole)
