"""Medical formats by their own libraries: DICOM images by pydicom, NIfTI volumes by nibabel."""

import io
import math
import mmap
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from novkit.data.untrusted import decoding, is_file, needs, opened, reading, unpacked_limit
from novkit.errors import DataError

MAX_PIXELS = 64_000_000  # of an image; more is a mistake or a trap
MAX_VOXELS = 256_000_000  # of a volume
PIXEL_BYTES = 12  # that decoding takes for a pixel of an image
MAX_SCANS = 100  # of a JPEG, as many as libtiff takes; progressive ones have about 10
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")  # not those that stand alone within a scan
_DEFLATED = 1032  # times its own size that a gzipped file can hold at most
_ROOM = 2**20  # bytes beside the pixels: headers and their like
_STRIP = 2**16  # pixels that are rescaled at a time: pydicom does it in float64


def open_dicom(file: Path, **options: Any) -> Any:
    """A DICOM file's data set; `options` are pydicom's. To be called in a block of `decoding`; DataError where it inflates without end."""
    from pydicom import dcmread

    needs(PIXEL_BYTES * _inflated(file))
    return dcmread(file, **options)


@decoding()
def read_dicom(file: Path, *, bits: int | None = None) -> np.ndarray:
    """One DICOM image as it is meant to be seen -> (1 or 3, height, width), uint8 or uint16, bright = high.

    Rescale or modality LUT, then the first VOI window or LUT; without one, all that the stored bits can hold is the range.
    MONOCHROME1 is inverted, so that a larger number is always brighter. bits: 8 or 16; None takes 8 where no more are stored.
    Raises DataError naming the file, also for several frames and for a compression that no installed decoder knows.
    """
    if not is_file(file):
        raise DataError(f"{file} does not exist: correct its path or remove its row.")
    mend = "replace it, or, where only a decoder is missing, install pylibjpeg and pylibjpeg-libjpeg"
    with reading(file, "a DICOM image", mend):
        dicom = open_dicom(file)
        rows, columns, frames = int(dicom.Rows), int(dicom.Columns), int(dicom.get("NumberOfFrames") or 1)
        if not 0 < rows * columns <= MAX_PIXELS:
            raise DataError(f"{file} has {columns}×{rows} pixels: shrink it below {MAX_PIXELS // 10**6} million.")
        if frames != 1:
            raise DataError(f"{file} holds {frames} frames: save each as an image of its own.")
        needs(PIXEL_BYTES * rows * columns)
        _check_encoded(file, dicom, (columns, rows))
        stored = dicom.pixel_array  # colour comes as RGB
        bits = bits or (8 if int(dicom.BitsStored) <= 8 else 16)
        top, kind = 2**bits - 1, np.uint8 if bits == 8 else np.uint16
        step = max(1, _STRIP // columns)
        strips = (_unit(file, dicom, stored[start : start + step]) for start in range(0, len(stored), step))
        return np.concatenate([np.rint(strip * top).astype(kind) for strip in strips], axis=1)


def _unit(file: Path, dicom: Any, stored: np.ndarray) -> np.ndarray:
    """Some rows as they are stored -> as they are meant to be seen, (1 or 3, rows, columns) in [0, 1]."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    kind = str(dicom.PhotometricInterpretation)
    if kind.startswith("MONOCHROME"):
        values = apply_voi_lut(apply_modality_lut(stored, dicom), dicom).astype(np.float64)
        low, high = _range(dicom)
        if not (np.isfinite(values).all() and low < high < math.inf):
            raise DataError(f"{file} is rescaled to values that are no numbers: replace it or remove it.")
        unit = np.clip((values - low) / (high - low), 0, 1)[None]
        unit = 1 - unit if kind == "MONOCHROME1" else unit
    else:
        colour = apply_color_lut(stored, dicom) if kind == "PALETTE COLOR" else stored
        unit = (colour / np.iinfo(colour.dtype).max).transpose(2, 0, 1)
    if unit.ndim != 3 or len(unit) not in (1, 3):
        raise DataError(f"{file} holds rows of shape {stored.shape[1:]}, no grey or colour image: replace it or remove it.")
    return unit


def _inflated(file: Path) -> int:
    """Bytes of a deflated DICOM file when it is inflated; 0 for another.

    pydicom inflates a data set whole, whatever it becomes; here it is gone through piece by piece. DataError where it becomes too much.
    """
    from pydicom.filereader import _read_file_meta_info, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with open(file, "rb") as stream:
        try:
            read_preamble(stream, force=True)
            deflated = _read_file_meta_info(stream).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        except Exception:  # no header, so not deflated; dcmread will say what is wrong
            deflated = False
        content = stream.read() if deflated else b""
    limit, size, engine = 4 * MAX_PIXELS + _ROOM, 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while content and not engine.eof and size <= limit:  # behind its end zlib reads no more, and leaves what there is
        size += len(engine.decompress(content, _ROOM))
        content = engine.unconsumed_tail
    if size > limit:
        raise DataError(f"{file} inflates to more than {limit >> 20} MiB: it is a trap or damaged, remove it.")
    return size


def _check_encoded(file: Path, dicom: Any, size: tuple[int, int]) -> None:
    """An image inside the file has a size of its own, and decoders make what that one says."""
    from pydicom.encaps import get_frame

    if not dicom.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    content = get_frame(dicom.PixelData, 0, number_of_frames=1)
    if content.startswith(b"\xff\xd8"):
        check_scans(file, content)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "JPEG2000")) as image:
            inside = image.size
    except UnidentifiedImageError:
        return  # of another kind, whose decoder goes by the header
    if inside != size:
        raise DataError(f"{file} says {size[0]}×{size[1]} pixels and holds an image of {inside[0]}×{inside[1]}: replace it or remove it.")


def check_scans(file: Path, content: bytes | mmap.mmap) -> None:
    """DataError for a JPEG of very many scans: each goes over the whole image again, however few bytes it has.

    Segments are stepped over and what lies behind the image's end is left, for both can hold other pictures.
    """
    scans = place = 0
    while (found := _MARKER.search(content, place)) and found[1] != b"\xd9":
        place = found.end()
        if found[1] != b"\xd8":  # the start alone has no length
            place += int.from_bytes(content[place : place + 2], "big")
        scans += found[1] == b"\xda"
        if scans > MAX_SCANS:
            raise DataError(f"{file} holds a JPEG of more than {MAX_SCANS} scans, a trap or damage: replace it or remove it.")


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


@decoding()
def read_volume(file: Path) -> Volume:
    """A NIfTI volume, turned and flipped to canonical axes by its affine; scaling is applied. Raises DataError naming the file."""
    import nibabel

    if not is_file(file):
        raise DataError(f"{file} does not exist: correct its path or remove its row.")
    with reading(file, "NIfTI", "download or save it again"):
        with opened(file) as stream:
            kind, voxels, needed = _declared(file, stream.read(540))
        if file.suffix.lower() != ".gz" and needed > file.stat().st_size:
            raise DataError(f"{file} is cut short: download or save it again.")
        if needed > min(_DEFLATED * (file.stat().st_size + 1000), unpacked_limit(file)):
            raise DataError(f"{file} is too small for the volume it claims to hold: download it again, or save it in a smaller type.")
        needs(needed + 4 * voxels)
        with opened(file, needed + _ROOM) as stream:
            image = kind.from_stream(stream)
            values = image.get_fdata(dtype=np.float32, caching="unchanged")
        image = nibabel.as_closest_canonical(kind(values, image.affine, image.header))  # a view: turned and flipped, not copied
        x, y, z = (float(step) for step in image.header.get_zooms()[:3])
        if not (np.isfinite(values).all() and all(0 < step < math.inf for step in (x, y, z))):
            raise DataError(f"{file} holds values or a spacing that are no finite numbers: repair it or remove it.")
        return Volume(np.asarray(image.dataobj), (x, y, z))


def _declared(file: Path, block: bytes) -> tuple[Any, int, int]:
    """The class of a NIfTI file by its first bytes, its voxels, and the bytes it must unpack to; DataError where it is no volume."""
    import nibabel

    second = 540 in (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
    kind: Any = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    header = kind.header_class(block[: kind.header_class.template_dtype.itemsize], check=False)
    shape, offset = header.get_data_shape(), int(header.get_data_offset())
    if len(shape) != 3:
        raise DataError(f"{file} has {len(shape)} dimensions: give a single volume.")
    if min(shape) < 1 or offset < 0 or offset > 2**26:
        raise DataError(f"{file} claims to be a volume of {'×'.join(map(str, shape))}: download or save it again.")
    if math.prod(shape) > MAX_VOXELS:
        raise DataError(f"{file} has {'×'.join(map(str, shape))} voxels: crop it below {MAX_VOXELS // 10**6} million.")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise DataError(f"{file} holds complex numbers or colours, not one real number a voxel: save it as whole numbers or floats.")
    return kind, math.prod(shape), offset + math.prod(shape) * dtype.itemsize
