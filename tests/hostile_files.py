"""Small valid files of every format novkit reads, and the damaged ones made from them."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from tests.data import layouts
from tests.hostile_damage import damaged

LARGEST = 60_000  # bytes of a file to start from: small ones are damaged more often where it matters

# ---- valid files ---------------------------------------------------------------------------------------------------------


def _grey(seed: int, shape: tuple[int, ...] = (12, 14), dtype: type = np.uint8) -> np.ndarray:
    return layouts.rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def _picture(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def pngs() -> list[bytes]:
    grey, colour = Image.fromarray(_grey(0)), Image.fromarray(_grey(1, (12, 14, 3)))
    wide = Image.fromarray(_grey(2, dtype=np.uint16))
    modes = [grey, colour, wide, grey.convert("1"), colour.quantize(8), colour.convert("RGBA"), grey.convert("LA")]
    moving = _picture(grey, "PNG", save_all=True, append_images=[Image.fromarray(_grey(3))])
    return [_picture(image, "PNG") for image in modes] + [moving]


def jpegs() -> list[bytes]:
    grey, colour = Image.fromarray(_grey(0, (24, 32))), Image.fromarray(_grey(1, (24, 32, 3)))
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation
    made = [_picture(grey, "JPEG"), _picture(colour, "JPEG", progressive=True), _picture(colour.convert("CMYK"), "JPEG")]
    two = _picture(colour, "MPO", save_all=True, append_images=[colour])
    return [*made, _picture(colour, "JPEG", exif=turned, subsampling=0), two]


def tiffs() -> list[bytes]:
    grey, colour = Image.fromarray(_grey(0, (24, 32))), Image.fromarray(_grey(1, (24, 32, 3)))
    wide, real = Image.fromarray(_grey(2, (24, 32), np.uint16)), Image.fromarray(_grey(3, (24, 32)).astype(np.float32))
    packed = [_picture(colour, "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")]
    pages = _picture(grey, "TIFF", save_all=True, append_images=[grey, wide])
    return [_picture(image, "TIFF") for image in (grey, colour, wide, real)] + [
        *packed,
        pages,
        _picture(grey.convert("1"), "TIFF", compression="group4"),
    ]


def bmps() -> list[bytes]:
    grey, colour = Image.fromarray(_grey(0, (24, 32))), Image.fromarray(_grey(1, (24, 32, 3)))
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 62) + struct.pack("<IiiHHIIiiII", 40, 4, 3, 1, 8, 1, 0, 0, 0, 2, 0)
    runs = head + bytes(4) + b"\xff" * 4 + b"\4\1\0\0" + b"\0\4\1\0\1\0\0\0" + b"\2\0\2\1\0\1"  # each row a run, as it is, and two runs
    return [_picture(image, "BMP") for image in (grey, colour, colour.quantize(8), grey.convert("1"), colour.convert("RGBA"))] + [runs]


def gifs() -> list[bytes]:
    grey, colour, other = (Image.fromarray(_grey(seed, (24, 32, 3)[: 2 + seed % 2])) for seed in (0, 1, 2))
    moving = _picture(grey, "GIF", save_all=True, append_images=[other])
    return [_picture(grey, "GIF"), moving, _picture(colour.quantize(8), "GIF", transparency=3, interlace=True)]


def webps() -> list[bytes]:
    colour, clear = Image.fromarray(_grey(1, (24, 32, 3))), Image.fromarray(_grey(2, (24, 32, 4)))
    moving = _picture(colour, "WEBP", save_all=True, append_images=[clear], duration=40)
    return [_picture(colour, "WEBP"), _picture(colour, "WEBP", lossless=True), _picture(clear, "WEBP"), moving]


def ppms() -> list[bytes]:
    grey, colour, wide = _grey(0, (24, 32)), _grey(1, (24, 32, 3)), _grey(2, (24, 32), np.uint16)
    modes = [Image.fromarray(grey), Image.fromarray(colour), Image.fromarray(wide), Image.fromarray(grey).convert("1")]
    words = [f"P2\n32 24\n255\n{' '.join(map(str, grey.ravel()))}\n", f"P3 32 24 255 {' '.join(map(str, colour.ravel()))}\n"]
    real = b"Pf\n32 24\n-1.0\n" + grey.astype("<f4").tobytes()
    return [*(_picture(image, "PPM") for image in modes), *(text.encode() for text in words), b"P1 4 2\n1 0 1 0 0 1 0 1\n", real]


def jpeg2000s() -> list[bytes]:
    grey, colour, wide = _grey(0, (24, 32)), _grey(1, (24, 32, 3)), _grey(2, (24, 32), np.uint16)
    made = [_picture(Image.fromarray(array), "JPEG2000") for array in (grey, colour, wide)]
    made += [_picture(Image.fromarray(colour), "JPEG2000", irreversible=True, tile_size=(16, 16), quality_layers=[20, 5])]
    return [*made, _picture(Image.fromarray(grey), "JPEG2000", no_jp2=True)]


def _dicom(made: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicoms() -> list[bytes]:
    wide = layouts.rng(0).integers(0, 4096, (10, 14)).astype(np.uint16)
    made = [
        layouts.dicom(wide, bits=12, photometric="MONOCHROME1", WindowCenter=2000, WindowWidth=900, RescaleSlope=2, RescaleIntercept=-9)
    ]
    made += [layouts.dicom(wide.astype(np.int16), bits=16)]
    jpeg = layouts.dicom(_grey(1, (24, 32)), bits=8)
    jpeg.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    jpeg.PixelData = encapsulate([_picture(Image.fromarray(_grey(1, (24, 32))), "JPEG")])
    jpeg["PixelData"].VR = "OB"
    jpeg["PixelData"].is_undefined_length = True
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], list(range(256))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    runs = layouts.dicom(_grey(2), bits=8)
    runs.compress(RLELossless)
    made += [jpeg, layouts.dicom(_grey(3), bits=8, VOILUTSequence=[table]), runs]
    own = ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_bigendian.dcm", "SC_rgb_small_odd.dcm", "SC_rgb_small_odd_jpeg.dcm",
           "image_dfl.dcm", "no_meta.dcm", "nested_priv_SQ.dcm", "badVR.dcm", "UN_sequence.dcm", "examples_palette.dcm")  # fmt: skip
    files = [Path(str(get_testdata_file(name, download=False) or "")) for name in own]
    return [_dicom(one) for one in made] + [file.read_bytes() for file in files if file.is_file() and file.stat().st_size < LARGEST]


def niftis() -> list[bytes]:
    affine = np.diag([-2.0, 2.5, 3.0, 1.0])
    volume = layouts.rng(0).integers(0, 900, (7, 6, 5))
    made = [nibabel.Nifti1Image(volume.astype(kind), affine) for kind in (np.int16, np.float32, np.uint8)]
    made += [nibabel.Nifti2Image(volume.astype(np.int16), affine), nibabel.Nifti1Image(volume.astype(np.int16)[..., None], affine)]
    made[0].header.set_slope_inter(0.5, 3)
    own = Path(nibabel.__file__).parent / "tests/data/anatomical.nii"
    return [one.to_bytes() for one in made] + [own.read_bytes()] * (own.stat().st_size < LARGEST)


def _arrays(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def medmnists() -> list[bytes]:
    made = []
    for shape, several in (((5, 5), False), ((5, 5, 3), False), ((5, 5), True)):
        numbers = (np.arange(4)[:, None] % 2 * np.ones((1, 3 if several else 1))).astype(np.uint8)
        parts = {f"{part}_{what}": array for part in ("train", "val", "test") for what, array in
                 (("images", _grey(len(part), (4, *shape))), ("labels", numbers))}  # fmt: skip
        made.append(_arrays(**parts))
    return made


def scores() -> list[bytes]:
    names = np.array([f"i{k}" for k in range(8)])
    common = {"id": names, "group": names, "condition": names, "label": np.arange(8, dtype=np.int8) % 2, "score": np.linspace(0, 1, 8)}
    return [_arrays(**common), _arrays(**common, area=np.linspace(0, 0.5, 8), error=np.linspace(1, 2, 8))]


def idx_files() -> list[bytes]:
    images = struct.pack(">4i", 2051, 3, 28, 28) + _grey(0, (3, 28, 28)).tobytes()
    return [images, struct.pack(">2i", 2049, 3) + bytes([1, 2, 3])]


def zips() -> list[bytes]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.mkdir("folder")
            for name in ("labels.csv", "folder/a.png", "folder/b.png", "ä/c.txt"):
                archive.writestr(name, name * 20)
        made.append(buffer.getvalue())
    return made


def tars() -> list[bytes]:
    made = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
            for name in ("folder", "labels.csv", "folder/a.png", "ä/" + "long" * 15 + "/" + "c" * 90):
                info = tarfile.TarInfo(name)
                info.size, info.type = (0, tarfile.DIRTYPE) if name == "folder" else (20, tarfile.REGTYPE)
                archive.addfile(info, io.BytesIO(b"x" * 20))
        content = buffer.getvalue().rstrip(b"\0")
        made.append(content + bytes(-len(content) % 512 + 1024))
    return made


def labels() -> list[bytes]:
    rows = "".join(f"{k}.png,{'ill' if k % 3 == 0 else 'normal'},p{k // 2},{'0.png' if k == 3 else ''},{40 + k}\n" for k in range(6))
    plain = "path,label\n0.png,normal\n1.png,ill\n"
    return [("path,label,group,mask,age\n" + rows).encode(), plain.encode("utf-8-sig"), plain.replace("\n", "\r\n").encode()]


def png_checked(content: bytes) -> bytes:
    """The same chunks with checksums that fit: damage that a reader cannot see at the door."""
    made, place = content[:8], 8
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        body = content[place + 4 : place + 8 + length]
        if len(body) < 4 or length > len(content):
            break
        made += content[place : place + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        place += 12 + length
    return made + content[place:]


def tar_checked(content: bytes) -> bytes:
    """The same headers with checksums that fit."""
    made = bytearray(content)
    for start in range(0, len(made) - 511, 512):
        block = made[start : start + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            made[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(made)


def zipped_again(content: bytes, rng: np.random.Generator) -> bytes:
    """An archive whose directory is sound and one of whose members is damaged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        hit = names[rng.integers(len(names))]
        for name in names:
            member = old.read(name)
            new.writestr(name, damaged([member or b"x"], rng) if name == hit else member)
    return buffer.getvalue()


@cache
def valid(kind: str) -> list[bytes]:
    """The valid files of a format."""
    return KINDS[kind]()


def hostile(kind: str, index: int) -> bytes:
    """Damaged file number `index` of a format: always the same."""
    rng = np.random.default_rng([index, *kind.encode()])
    files, inside = valid(kind), rng.random() < 0.5
    if kind in ("medmnist", "scores") and inside:
        return zipped_again(files[rng.integers(len(files))], rng)
    if kind in ("nifti_gz", "idx", "tar_gz"):
        return gzip.compress(damaged(files, rng), 1) if inside else damaged([gzip.compress(file, 1) for file in files], rng)
    content = damaged(files, rng)
    repair = {"png": png_checked, "tar": tar_checked}.get(kind)
    return repair(content) if repair and inside else content


KINDS: dict[str, Callable[[], list[bytes]]] = {
    "png": pngs, "jpeg": jpegs, "tiff": tiffs, "bmp": bmps, "gif": gifs, "webp": webps, "ppm": ppms,
    "jpeg2000": jpeg2000s, "dicom": dicoms, "nifti": niftis, "nifti_gz": niftis,
    "medmnist": medmnists, "scores": scores, "idx": idx_files, "zip": zips, "tar": tars, "tar_gz": tars, "labels": labels,
}  # fmt: skip
SUFFIX = {
    "png": ".png", "jpeg": ".jpg", "tiff": ".tif", "bmp": ".bmp", "gif": ".gif", "webp": ".webp", "ppm": ".ppm", "jpeg2000": ".jp2",
    "dicom": ".dcm", "nifti": ".nii", "nifti_gz": ".nii.gz",
}  # fmt: skip
