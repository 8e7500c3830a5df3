"""Scoring a folder of images with a saved detector: a CSV, and novelty maps."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from novkit.data.reading import SUFFIXES, read_image
from novkit.data.untrusted import is_file
from novkit.errors import DataError
from novkit.files import files_under, replacing, writable, write_image
from novkit.images import chunks
from novkit.methods import load_detector

_BATCH = 64


def score_folder(
    detector: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    maps: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> tuple[int, int]:
    """Score every image below `folder`; returns how many there are and how many lie above the threshold.

    out: CSV with path (below the folder), score, threshold, novel (0 or 1) and the components of the score.
    maps: one float32 TIFF an image, same path.
    Images are resized to what the detector was fitted on. Raises DataError naming a file that cannot be read: then `out` is not written,
    and the maps that are there are whole.
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: give the folder that holds the images.")
    files = sorted(file for file in files_under(folder) if file.suffix.lower() in SUFFIXES and is_file(file))
    if not files:
        raise DataError(f"{folder} holds no image, such as a .png, .jpg, .tif or .dcm: give the folder that holds them.")
    fitted = load_detector(detector, device=device)
    if maps is not None and not fitted.has_map:
        raise DataError(f"{fitted.method} gives no novelty map: leave --maps out, or use a method that has them, such as autoencoder.")
    channels, height, width = fitted.image_shape_
    rows: list[dict[str, object]] = []
    with tqdm(total=len(files), desc="Scoring", unit="image", disable=not progress) as bar:
        for part in chunks(len(files), _BATCH):
            X = np.stack([_fitting(read_image(file, (height, width)), channels, file) for file in files[part]])
            values = fitted.components(X)
            for index, file in enumerate(files[part]):
                row: dict[str, object] = {"path": _written(file.relative_to(folder).as_posix()), "score": float(values["score"][index])}
                row |= {"threshold": fitted.threshold_, "novel": int(values["score"][index] > fitted.threshold_)}
                row |= {name: float(value[index]) for name, value in values.items() if name != "score" and value.ndim == 1}
                rows.append(row)
            if maps is not None:
                for file, novelty in zip(files[part], fitted.novelty_map(X), strict=True):
                    target = Path(maps) / file.relative_to(folder).with_suffix(file.suffix + ".tiff")
                    write_image(target, Image.fromarray(novelty.astype(np.float32)), "TIFF")
            bar.update(part.stop - part.start)
    with replacing(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        # a path is the first of its line, and quoted, to be one cell also where a spreadsheet cuts lines at semicolons
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(rows)
    return len(rows), sum(int(str(row["novel"])) for row in rows)


def _written(path: str) -> str:
    """A path as it stands in the CSV: "./" keeps a spreadsheet from taking it for a formula, bytes that are no text become escapes."""
    path = writable(path)
    return f"./{path}" if path.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else path


def _fitting(image: np.ndarray, channels: int, file: Path) -> np.ndarray:
    """(c, h, w), as many channels as the detector wants, float32 in [0, 1]; grey is repeated, colour where grey is wanted is refused."""
    scale = 255 if image.dtype == np.uint8 else 65535
    image = image.astype(np.float32) / scale
    if len(image) == channels:
        return image
    if len(image) == 1:
        return np.repeat(image, channels, axis=0)
    raise DataError(f"{file} is a colour image but the detector was fitted on grey ones: convert it to grey or fit on colour.")
