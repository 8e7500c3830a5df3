"""Medical formats by their own libraries: DICOM images by pydicom, NIfTI volumes by nibabel."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from novkit.errors import DataError

MAX_PIXELS = 64_000_000  # of an image; more is a mistake or a trap
MAX_VOXELS = 1_000_000_000  # of a volume


def read_dicom(file: Path, *, bits: int | None = None) -> np.ndarray:
    """One DICOM image as it is meant to be seen -> (1 or 3, height, width), uint8 or uint16, bright = high.

    Rescale or modality LUT, then the first VOI window or LUT; without one, all that the stored bits can hold is the range.
    MONOCHROME1 is inverted, so that a larger number is always brighter. bits: 8 or 16; None takes 8 where no more are stored.
    Raises DataError naming the file, also for several frames and for a compression that no installed decoder knows.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    if not file.is_file():
        raise DataError(f"{file} does not exist: correct its path or remove its row.")
    try:
        dicom = dcmread(file)
        rows, columns, frames = int(dicom.Rows), int(dicom.Columns), int(dicom.get("NumberOfFrames") or 1)
        if rows * columns > MAX_PIXELS:
            raise DataError(f"{file} has {columns}×{rows} pixels: shrink it below {MAX_PIXELS // 10**6} million.")
        if frames != 1:
            raise DataError(f"{file} holds {frames} frames: save each as an image of its own.")
        kind = str(dicom.PhotometricInterpretation)
        stored = dicom.pixel_array  # colour comes as RGB
        if kind.startswith("MONOCHROME"):
            values = apply_voi_lut(apply_modality_lut(stored, dicom), dicom).astype(np.float64)
            low, high = _range(dicom)
            unit = np.clip((values - low) / (high - low), 0, 1)[None]
            unit = 1 - unit if kind == "MONOCHROME1" else unit
        else:
            colour = apply_color_lut(stored, dicom) if kind == "PALETTE COLOR" else stored
            unit = (colour / np.iinfo(colour.dtype).max).transpose(2, 0, 1)
        bits = bits or (8 if int(dicom.BitsStored) <= 8 else 16)
    except DataError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly anything for a broken file
        raise DataError(
            f"{file} cannot be read as a DICOM image ({type(error).__name__}: {(str(error) or '?').splitlines()[0]}): replace it, or, "
            "where only a decoder is missing, install pylibjpeg and pylibjpeg-libjpeg."
        ) from error
    return np.rint(unit * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _range(dicom: Any) -> tuple[float, float]:
    """What pydicom's rescaling and windowing may give: lowest and highest value."""
    lut = (dicom.get("VOILUTSequence") or [None])[0] or (dicom.get("ModalityLUTSequence") or [None])[0]
    if lut is not None:
        return 0.0, 2.0 ** int(lut.LUTDescriptor[2]) - 1
    bits, signed = int(dicom.BitsStored), bool(dicom.PixelRepresentation)
    ends = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = float(dicom.get("RescaleSlope", 1)), float(dicom.get("RescaleIntercept", 0))
    return tuple(sorted(end * slope + intercept for end in ends))  # type: ignore[return-value]


class Volume(NamedTuple):
    """A volume in canonical axes.

    values: (x, y, z), float32, growing towards the patient's right, front and top. spacing: millimetres between voxels along x, y, z.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]

    def axial(self, z: int) -> np.ndarray:
        """(height, width): front at the top, the patient's right on the left, as radiologists look at it."""
        return axial_view(self.values[:, :, z])


def axial_view(plane: np.ndarray) -> np.ndarray:
    """(x, y) in canonical axes -> (height, width), front at the top, the patient's right on the left."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def read_volume(file: Path) -> Volume:
    """A NIfTI volume, turned and flipped to canonical axes by its affine; scaling is applied. Raises DataError naming the file."""
    import nibabel

    try:
        image = nibabel.as_closest_canonical(nibabel.load(file))
        if len(image.shape) != 3:
            raise DataError(f"{file} has {len(image.shape)} dimensions: give a single volume.")
        if np.prod(image.shape, dtype=np.int64) > MAX_VOXELS:
            raise DataError(f"{file} has {'×'.join(map(str, image.shape))} voxels: crop it below {MAX_VOXELS // 10**6} million.")
        x, y, z = (float(step) for step in image.header.get_zooms()[:3])
        return Volume(image.get_fdata(dtype=np.float32, caching="unchanged"), (x, y, z))
    except DataError:
        raise
    except Exception as error:  # nibabel, zlib and the header's contents each have errors of their own
        raise DataError(f"{file} cannot be read as NIfTI ({type(error).__name__}): download or save it again.") from error
