"""The contact sheet shows the pixels of the right images, in the right rows."""

import numpy as np
import pandas as pd
from PIL import Image

from novkit.data.dataset import ImageDataset
from novkit.figures.sheets import write_contact_sheet
from tests.conftest import blobs


def test_rows_are_classes_and_tiles_are_first_images_of_groups(tmp_path):
    X = blobs(8, size=16, channels=3)
    table = pd.DataFrame({"id": list("abcdefgh"), "label": ["n", "n", "n", "n", "o", "o", "o", "o"], "group": list("11223344")})
    path = write_contact_sheet(ImageDataset("x", X, table), tmp_path / "sheet.png", columns=3)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * 98, 3 * 98, 3)  # 16 pixels enlarged six times, and the gap
    for row, (first, second) in enumerate([(0, 2), (4, 6)]):
        for column, index in enumerate((first, second)):
            tile = sheet[row * 98 : row * 98 + 96 : 6, column * 98 : column * 98 + 96 : 6]
            np.testing.assert_array_equal(tile, X[index].transpose(1, 2, 0))
        assert (sheet[row * 98 : row * 98 + 96, 2 * 98 :] == 0).all()
