"""Loading by name, and from folders; and the public sets where NOVKIT_REAL_DATA names their folder."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits

from novkit.data import load
from novkit.data.reading import MAX_PIXELS
from novkit.data.setups import one_vs_rest
from novkit.errors import DataError, SettingsError

REAL = os.environ.get("NOVKIT_REAL_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="NOVKIT_REAL_DATA names no folder of real images")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve 20×20 grey PNGs of two classes and six patients, the novel ones with a mask and every image with an age."""
    root = tmp_path / "scans"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)).save(root / f"images/{k:02d}.png")
        mask = ""
        if k % 2:
            array = np.zeros((20, 20), np.uint8)
            array[: k + 1] = 255
            Image.fromarray(array).save(root / f"images/{k:02d}_mask.png")
            mask = f"images/{k:02d}_mask.png"
        rows.append((f"images/{k:02d}.png", "ill" if k % 2 else "healthy", f"{k // 2:02d}", mask, 40 + k))
    write(root, pd.DataFrame(rows, columns=["path", "label", "group", "mask", "age"]))
    return root


def write(root: Path, table: pd.DataFrame) -> None:
    table.to_csv(root / "labels.csv", index=False)


def labels(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "labels.csv", dtype=str, keep_default_na=False)


# ---- by name ----------------------------------------------------------------------------------------------------------------


def test_digits():
    raw = load("digits", size=8)
    assert np.abs(raw.images[:, 0] / 255 * 16 - sklearn_digits().images).max() < 0.04
    assert (raw.labels.astype(int) == sklearn_digits().target).all()
    large = load("digits")
    assert large.images.shape == (1797, 1, 32, 32)
    # Bilinear enlargement by four, averaged over each block: the centre weighs 3/4 in either axis, so it stays close to the original.
    blocks = large.images.reshape(1797, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.corrcoef(blocks.ravel(), raw.images.ravel())[0, 1] > 0.97
    assert large.table["group"].is_unique
    assert not large.synthetic
    assert "unknown" in large.extra["groups"]


def test_unknown_names_and_options_are_told_what_exists(tmp_path):
    with pytest.raises(DataError, match=r"did you mean 'brain'.*brain, skin, digits"):
        load("brian")
    with pytest.raises(SettingsError, match=r"no option 'sise'.*size"):
        load("digits", sise=8)
    (tmp_path / "notes.txt").write_text("?")
    with pytest.raises(DataError, match="neither a folder"):
        load(tmp_path / "notes.txt")


def test_generated_sets_come_from_the_cache_the_second_time(own_cache, monkeypatch):
    first = load("skin", size=16, n_benign=6, n_atypical=4, seed=3)
    monkeypatch.setattr("novkit.data.skin.draw_skin", None)
    second = load("skin", size=16, n_benign=6, n_atypical=4, seed=3, progress=False)
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images)
    assert second.synthetic
    with pytest.raises(TypeError):  # another seed has to be drawn
        load("skin", size=16, n_benign=6, n_atypical=4, seed=4)


# ---- folders ----------------------------------------------------------------------------------------------------------------


def test_folder(folder):
    data = load(folder)
    assert data.images.shape == (12, 1, 20, 20)
    assert np.array_equal(data.images[7, 0], np.asarray(Image.open(folder / "images/07.png")))
    assert np.array_equal(data.masks.sum(axis=(1, 2)), [20 * (k + 1) if k % 2 else 0 for k in range(12)])
    assert list(data.table["group"][:3]) == ["00", "00", "01"]
    assert list(data.table["age"]) == list(range(40, 52))
    assert data.normal == "healthy"
    assert not data.synthetic
    assert load(folder, masks=False).masks is None
    assert load(folder, normal="ill").normal == "ill"
    assert len(load(folder, channels=3).images[0]) == 3
    with pytest.raises(DataError, match=r"'mild'.*healthy, ill"):
        load(folder, normal="mild")


def test_resizing_is_antialiased_and_masks_stay_masks(folder):
    stripes = np.zeros((20, 20), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(folder / "images/00.png")
    data = load(folder, size=10)
    assert data.images.shape[2:] == (10, 10)
    assert np.ptp(data.images[0, 0, :, 2:-2]) <= 2  # plain subsampling would give 0 or 200
    assert abs(data.images[0].mean() - 100) < 3
    assert data.masks.dtype == bool
    assert np.array_equal(data.masks.sum(axis=(1, 2)), [10 * (k + 1) // 2 if k % 2 else 0 for k in range(12)])


def test_channels_follow_the_content(folder):
    for k in range(12):
        Image.open(folder / f"images/{k:02d}.png").convert("RGB").save(folder / f"images/{k:02d}.png")
    assert load(folder).images.shape[1] == 1  # grey, coded as RGB
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(folder / "images/04.png")
    data = load(folder)
    assert data.images.shape[1] == 3
    assert (data.images[4] == np.array([255, 0, 0])[:, None, None]).all()
    assert (data.images[5, 0] == data.images[5, 2]).all()
    grey = load(folder, channels=1)
    assert set(np.unique(grey.images[4])) == {76}  # 0.299 of 255: ITU-R 601


def test_sixteen_bits_are_kept(folder):
    rng = np.random.default_rng(1)
    arrays = rng.integers(0, 65536, (12, 20, 20), dtype=np.uint16)
    for k, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"images/{k:02d}.png")
    data = load(folder)
    assert data.images.dtype == np.uint16
    assert np.array_equal(data.images[:, 0], arrays)
    assert load(folder, size=10).images.dtype == np.uint16
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "images/00.png")
    with pytest.raises(DataError, match="16 bits where other images have 8"):
        load(folder)


def test_group_and_mask_are_optional(folder):
    write(folder, labels(folder)[["path", "label"]])
    data = load(folder)
    assert data.table["group"].nunique() == 12
    assert "no group" in data.extra["groups"]
    assert data.masks is None


def test_exact_duplicates_share_a_group_so_that_no_split_parts_them(folder):
    Image.open(folder / "images/00.png").save(folder / "images/11.png")
    for table in (labels(folder), labels(folder)[["path", "label"]]):
        write(folder, table)
        data = load(folder)
        assert data.table["group"].iloc[0] == data.table["group"].iloc[11]
        assert data.extra["duplicate_images"] == 1
        assert data.extra["groups_joined"] == 1
        assert data.table["group"].nunique() == len(set(table.get("group", table["path"]))) - 1


def test_groups_joined_by_a_chain_of_duplicates_are_one(folder):
    """a–b share one image and b–c another: a, b and c are one group."""
    Image.open(folder / "images/00.png").save(folder / "images/02.png")
    Image.open(folder / "images/03.png").save(folder / "images/04.png")
    assert list(load(folder).table["group"]) == ["00"] * 6 + ["03"] * 2 + ["04"] * 2 + ["05"] * 2


def test_classes_may_stand_in_another_column(folder):
    table = labels(folder)
    table["subtype"] = ["", "acute", "", "old"] * 3
    write(folder, table)
    assert load(folder, classes="subtype").labels.tolist() == ["healthy", "acute", "healthy", "old"] * 3
    assert load(folder).labels.tolist() == ["healthy", "ill"] * 6  # each from a cache entry of its own
    with pytest.raises(DataError, match="no column 'kind'"):
        load(folder, classes="kind")


def test_where_keeps_rows(folder):
    data = load(folder, where="age >= 43 and (label == 'healthy' or age * 2 > 100) and label not in ['x']")
    expected = [a for a in range(40, 52) if a >= 43 and (a % 2 == 0 or a * 2 > 100)]
    assert list(data.table["age"]) == expected
    assert list(load(folder, where="40 < age <= 42 or group == '05'").table["age"]) == [41, 42, 50, 51]


@pytest.mark.parametrize(
    "where",
    [
        "__import__('os').system('true')",
        "age.__class__",
        "@pd.read_csv('x')",
        "age ** 99999999",
        "label * 99999999 == 'x'",
        "'x' * 99999999 == label",
        "[a for a in age]",
        "(lambda: 1)()",
        "agee > 3",
        "age >",
        "age > 'x'",
        "age",
        "age > 1000",
        "age > 41; 1",
        "`age` > 3",
        "",
    ],
)
def test_where_takes_comparisons_of_columns_only(folder, where):
    with pytest.raises(DataError, match="where="):
        load(folder, where=where)


@pytest.mark.parametrize("path", ["../scans/images/00.png", "/etc/passwd", "C:\\x.png", "images\\..\\..\\x.png", "\\x.png", "a\0b"])
@pytest.mark.parametrize("column", ["path", "mask"])
def test_paths_stay_inside_the_folder(folder, path, column):
    table = labels(folder)
    table.loc[3, column] = path
    write(folder, table)
    with pytest.raises(DataError, match=r"line 5.*inside the folder|cannot be read"):
        load(folder)


def test_errors_name_the_file_or_line(folder, tmp_path, monkeypatch):
    table = labels(folder)
    with pytest.raises(DataError, match=r"has no labels\.csv"):
        load(tmp_path)
    write(folder, table.rename(columns={"label": "klass"}))
    with pytest.raises(DataError, match="no column 'label'"):
        load(folder)
    write(folder, table.assign(label=["x", ""] + ["x"] * 10))
    with pytest.raises(DataError, match="empty 'label' in line 3"):
        load(folder)
    write(folder, table.iloc[:0])
    with pytest.raises(DataError, match="lists no image"):
        load(folder)
    (folder / "labels.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match="UTF-8"):
        load(folder)
    write(folder, pd.concat([table, table.iloc[:1]]))
    with pytest.raises(DataError, match=r"00\.png.*twice"):
        load(folder)
    write(folder, table.assign(path=table["path"].replace("images/04.png", "images/4.png")))
    with pytest.raises(DataError, match=r"4\.png.*does not exist"):
        load(folder)
    write(folder, table)
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(folder / "images/04.png")
    with pytest.raises(DataError, match=r"2 different sizes.*size="):
        load(folder)
    content = (folder / "images/05.png").read_bytes()
    (folder / "images/04.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"04\.png cannot be read as an image"):
        load(folder)
    (folder / "images/04.png").write_text("no image")
    with pytest.raises(DataError, match=r"04\.png cannot be read as an image"):
        load(folder)
    for options, message in (({"channels": 2}, "channels"), ({"size": 1}, "size")):
        with pytest.raises(SettingsError, match=message):
            load(folder, **options)


def test_decompression_bombs_are_refused_before_they_are_decoded(folder, monkeypatch):
    monkeypatch.setattr("novkit.data.reading.MAX_PIXELS", 300)
    with pytest.raises(DataError, match=r"00\.png has 20×20 pixels"):
        load(folder)
    assert MAX_PIXELS < 1e8


@pytest.mark.filterwarnings("ignore:Image size")
def test_a_real_bomb_is_refused(folder):
    Image.new("1", (10000, 10000)).save(folder / "images/00.png")  # a file of 12 kB
    with pytest.raises(DataError, match=r"00\.png"):
        load(folder)


def test_a_changed_folder_is_read_again(folder):
    before = load(folder)
    Image.fromarray(np.full((20, 20), 7, np.uint8)).save(folder / "images/00.png")
    after = load(folder)
    assert (after.images[0] == 7).all()
    assert before.fingerprint != after.fingerprint
    assert load(folder, cache=False).fingerprint == after.fingerprint
    assert not isinstance(load(folder, cache=False).images, np.memmap)


# ---- the public sets --------------------------------------------------------------------------------------------------------


@pytest.mark.real
@needs_real
def test_real_lgg_matched_in_position():
    where = "0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)"
    data = load(Path(REAL) / "lgg_flair_mri", where=where)
    assert data.table["label"].value_counts().to_dict() == {"tumor": 1211, "normal": 816}
    assert data.images.shape == (2027, 1, 128, 128)
    marked = data.masks.any(axis=(1, 2))
    assert np.array_equal(marked, data.labels == "tumor")
    setup = one_vs_rest(data, "normal", seed=0)
    assert abs(len(setup.X_train) - 0.6 * 816) < 20
    assert 0.3 < setup.y_test.mean() < 0.8


@pytest.mark.real
@needs_real
def test_real_kermany_is_grey_and_has_its_known_duplicates():
    data = load(Path(REAL) / "kermany_chest_xray", size=32)
    assert data.images.shape == (5216, 1, 32, 32)
    assert data.normal == "normal"
    assert data.extra["duplicate_images"] >= 26
