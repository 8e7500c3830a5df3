"""Small data in the true layout of each public set: folders, file names, headers and tables as they are published."""

import gzip
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from PIL import Image
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- ISIC 2016 --------------------------------------------------------------------------------------------------------------


def make_isic(folder: Path, n_train: int = 6, n_test: int = 4) -> dict[str, np.ndarray]:
    """JPEGs of several sizes in their folders, and headerless CSVs: quoted ids and words for training, numbers for the test."""
    centres = {}
    for part, n, first in (("Training", n_train, 0), ("Test", n_test, 100)):
        images = folder / f"ISBI2016_ISIC_Part3_{part}_Data"
        images.mkdir(parents=True)
        lines = []
        for k in range(n):
            name = f"ISIC_{first + k:07d}"
            colour = rng(first + k).integers(40, 200, 3)
            array = np.broadcast_to(colour.astype(np.uint8), (60 + 4 * k, 140, 3)).copy()
            array[:, :5] = array[:, -5:] = 255  # cut off by the centre crop
            Image.fromarray(array).save(images / f"{name}.jpg", quality=95)
            centres[name] = colour
            lines.append(f'"{name}","{"malignant" if k % 3 == 0 else "benign"}"' if part == "Training" else f"{name},{float(k % 3 == 0)}")
        (folder / f"ISBI2016_ISIC_Part3_{part}_GroundTruth.csv").write_text("\n".join(lines) + "\n")
    return centres


# ---- Kermany ----------------------------------------------------------------------------------------------------------------

KERMANY = {
    "train/NORMAL/IM-0115-0001.jpeg": ("normal", "IM-0115"),
    "train/NORMAL/NORMAL2-IM-1427-0001.jpeg": ("normal", "NORMAL2-IM-1427"),
    "train/PNEUMONIA/person1_bacteria_1.jpeg": ("bacteria", "person1"),
    "train/PNEUMONIA/person1_bacteria_2.jpeg": ("bacteria", "person1"),
    "test/NORMAL/IM-0001-0001.jpeg": ("normal", "IM-0001"),
    "test/PNEUMONIA/person1_virus_6.jpeg": ("virus", "person1"),
    "test/PNEUMONIA/person100_virus_184.jpeg": ("virus", "person100"),
}


def make_kermany(folder: Path) -> None:
    """chest_xray/part/CLASS; one image coded as RGB, a Mac's droppings, and everything once more below, as in Kaggle's archive."""
    for k, name in enumerate(KERMANY):
        for root in (folder / "chest_xray", folder / "chest_xray/chest_xray"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(rng(k).integers(0, 256, (50, 70), dtype=np.uint8))
            (image.convert("RGB") if k == 3 else image).save(root / name)
    (folder / "__MACOSX/chest_xray/train/NORMAL").mkdir(parents=True)
    (folder / "__MACOSX/chest_xray/train/NORMAL/._IM-0115-0001.jpeg").write_bytes(b"\0\5\x16\7")
    (folder / "chest_xray/train/NORMAL/.DS_Store").write_bytes(b"\0")


# ---- RSNA -------------------------------------------------------------------------------------------------------------------


def dicom(stored: np.ndarray, *, bits: int, photometric: str = "MONOCHROME2", **tags: object) -> Dataset:
    """A data set with an uncompressed grey image of `bits` bits."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.SOPInstanceUID = generate_uid(entropy_srcs=[repr(stored.tobytes()[:64])])
    made.PatientID = "x"
    made.Rows, made.Columns = stored.shape
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 if bits <= 8 else 16
    made.BitsStored, made.HighBit = bits, bits - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.PixelData = stored.tobytes()
    for tag, value in tags.items():
        setattr(made, tag, value)
    return made


RSNA = (("Normal", 0), ("No Lung Opacity / Not Normal", 0), ("Lung Opacity", 2), ("Normal", 0), ("Lung Opacity", 1))


def make_rsna(folder: Path, *, mappings: bool = True) -> dict[str, np.ndarray]:
    """stage_2_train_images, the two CSVs with a row for each box, and RSNA's mapping: images 0 and 3 are of one NIH patient."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    stored, classes, labels, mapping = {}, [], [], []
    for k, (name, boxes) in enumerate(RSNA):
        patient = f"{k:08x}-aaaa-bbbb-cccc-0123456789ab"
        pixels = rng(k).integers(0, 4096, (32, 32)).astype(np.uint16)
        tags = {"ViewPosition": "AP" if boxes else "PA", "PatientSex": "F", "PatientAge": "51"}  # an age as the challenge writes it
        with disable_value_validation():
            made = dicom(pixels, bits=12, photometric="MONOCHROME1", **tags)
            made.save_as(images / f"{patient}.dcm", enforce_file_format=True)
        stored[patient] = pixels
        classes += [(patient, name)] * max(boxes, 1)
        labels += [(patient, *((1.0, 2.0, 3.0, 4.0) if boxes else ("",) * 4), int(boxes > 0))] * max(boxes, 1)
        mapping.append({"subset_img_id": patient, "img_id": f"{k % 3:08d}_{k:03d}.png", "orig_labels": []})
    pd.DataFrame(classes, columns=["patientId", "class"]).to_csv(folder / "stage_2_detailed_class_info.csv", index=False)
    pd.DataFrame(labels, columns=["patientId", "x", "y", "width", "height", "Target"]).to_csv(
        folder / "stage_2_train_labels.csv", index=False
    )
    if mappings:
        (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(mapping))
    return stored


# ---- BraTS ------------------------------------------------------------------------------------------------------------------

Shape = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ball(x0: float, y0: float, z0: float, *radii: float) -> Shape:
    """An ellipsoid in millimetres: right, front and up of the origin."""
    a, b, c = radii if len(radii) == 3 else radii * 3
    return lambda x, y, z: ((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 + ((z - z0) / c) ** 2 <= 1


BRAIN = ball(0, 0, 0, 65, 80, 60)


def save_nifti(file: Path, values: Shape, affine: np.ndarray, shape: tuple[int, int, int], dtype: type = np.int16) -> None:
    """Sample a function of world coordinates on a grid; `affine` maps voxels to millimetres, right, front and up."""
    index = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    x, y, z = (affine @ index)[:3]
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values(x, y, z).reshape(shape).astype(dtype), affine), file)


def brats_affine(spacing: tuple[float, float, float] = (2.0, 2.5, 3.0)) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Anisotropic voxels whose first two axes run to the left and to the back, as in BraTS, and the grid that holds the brain."""
    shape = tuple(int(np.ceil(length / step)) for length, step in zip((140, 170, 130), spacing, strict=True))
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = [70, 85, -65]
    return affine, shape  # type: ignore[return-value]


def make_brats(folder: Path, tumours: dict[str, Shape | None], *, gain: dict[str, float] | None = None) -> None:
    """GRADE/SUBJECT/SUBJECT_flair.nii.gz and _seg.nii.gz, skull-stripped, background 0; the tumour is brighter."""
    affine, shape = brats_affine()
    for number, (name, tumour) in enumerate(tumours.items()):
        grade = "LGG" if number % 3 == 2 else "HGG"
        inside = tumour or (lambda x, y, z: np.zeros_like(x, bool))
        factor = (gain or {}).get(name, 1.0)

        def scan(
            x: np.ndarray, y: np.ndarray, z: np.ndarray, inside: Shape = inside, factor: float = factor, seed: int = number
        ) -> np.ndarray:
            values = 300 + 20 * rng(seed).standard_normal(x.shape) + 150 * inside(x, y, z)
            return np.where(BRAIN(x, y, z), np.maximum(values * factor, 1), 0)

        home = folder / grade / name
        save_nifti(home / f"{name}_flair.nii.gz", scan, affine, shape)
        save_nifti(
            home / f"{name}_seg.nii.gz", lambda x, y, z, inside=inside: 2 * (inside(x, y, z) & BRAIN(x, y, z)), affine, shape, np.uint8
        )


# ---- MNIST, CIFAR-10, MedMNIST ----------------------------------------------------------------------------------------------


def make_mnist(folder: Path, kind: str = "MNIST", n: tuple[int, int] = (12, 5)) -> dict[str, np.ndarray]:
    """torchvision's layout: KIND/raw with the four gzipped IDX files of LeCun's format."""
    home = folder / kind / "raw"
    home.mkdir(parents=True)
    made = {}
    for seed, (part, count) in enumerate(zip(("train", "t10k"), n, strict=True)):
        images = rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        numbers = np.arange(count, dtype=np.uint8) % 10
        made[part] = images
        content = {"images-idx3": struct.pack(">4i", 2051, count, 28, 28) + images.tobytes()}
        content["labels-idx1"] = struct.pack(">2i", 2049, count) + numbers.tobytes()
        for what, stored in content.items():
            (home / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(stored))
    return made


def make_cifar(folder: Path, n: int = 4) -> np.ndarray:
    """cifar-10-binary.tar.gz with its five batches and test batch, a byte of the class before each image -> images (6 n, 3, 32, 32)."""
    home = folder / "cifar-10-batches-bin"
    home.mkdir(parents=True)
    images = rng().integers(0, 256, (6 * n, 3, 32, 32), dtype=np.uint8)
    for k, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        rows = [bytes([(k + j) % 10]) + image.tobytes() for j, image in enumerate(images[k * n : (k + 1) * n])]
        (home / name).write_bytes(b"".join(rows))
    (home / "batches.meta.txt").write_text("\n".join(("airplane", "automobile", "bird")))
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(home, "cifar-10-batches-bin")
    return images


def make_medmnist(file: Path, *, colour: bool = False, several: bool = False, compressed: bool = True) -> np.ndarray:
    """An .npz of train 6, val 2 and test 4 images; returns all of them, (12, 28, 28) or (12, 28, 28, 3)."""
    images = rng().integers(0, 256, (12, 28, 28, 3) if colour else (12, 28, 28), dtype=np.uint8)
    numbers = np.zeros((12, 14), np.uint8) if several else (np.arange(12) % 2)[:, None].astype(np.uint8)
    if several:
        numbers[3, [2, 5]] = 1
    arrays = {}
    for part, cut in {"train": slice(0, 6), "val": slice(6, 8), "test": slice(8, None)}.items():
        arrays |= {f"{part}_images": images[cut], f"{part}_labels": numbers[cut]}
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return images
