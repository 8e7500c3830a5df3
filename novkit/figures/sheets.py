"""A contact sheet: a few images of every class as one PNG, to look at before anything is computed."""

from pathlib import Path

import numpy as np
from PIL import Image

from novkit.data.dataset import ImageDataset
from novkit.files import write_image
from novkit.images import to_tensor

_GAP = 2  # pixels between images


def contact_sheet(dataset: ImageDataset, *, columns: int = 10, least_side: int = 96) -> Image.Image:
    """One row a class, one image a group, in the order of the table; small images are enlarged without smoothing.

    columns: most images a class, at least 1. least_side: pixels that an image is at least high. Returns an RGB picture, classes from top to
    bottom in the order in which they first occur.
    """
    rows = []
    for label in dict.fromkeys(dataset.labels):
        of_class = dataset.table[dataset.labels == label]
        chosen = of_class.drop_duplicates("group").index[:columns]
        tiles = (to_tensor(dataset.images[np.asarray(chosen)]).permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        times = max(1, -(-least_side // tiles.shape[1]))
        tiles = tiles.repeat(times, axis=1).repeat(times, axis=2).repeat(3 // tiles.shape[3], axis=3)
        row = np.zeros((tiles.shape[1] + _GAP, columns * (tiles.shape[2] + _GAP), 3), np.uint8)
        for number, tile in enumerate(tiles):
            left = number * (tile.shape[1] + _GAP)
            row[: tile.shape[0], left : left + tile.shape[1]] = tile
        rows.append(row)
    return Image.fromarray(np.concatenate(rows))


def write_contact_sheet(dataset: ImageDataset, path: str | Path, *, columns: int = 10) -> Path:
    """Write `contact_sheet`, at most `columns` images a class, as a PNG; returns its path. StoredFileError where the system refuses."""
    write_image(path, contact_sheet(dataset, columns=columns), "PNG")
    return Path(path)
