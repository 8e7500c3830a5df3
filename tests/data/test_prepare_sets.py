"""Each public set, from small data in its true layout to `load(NAME)`."""

import hashlib
import json
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torchvision.datasets
from PIL import Image

from novkit.data import ImageDataset, load
from novkit.data.downloads import Download
from novkit.data.medmnist import load_medmnist
from novkit.data.prepare import prepare, recipes
from novkit.data.prepare.folder import folder_recipe
from novkit.data.prepare.isic2016 import read_truth
from novkit.data.setups import one_vs_rest
from novkit.errors import DataError, SettingsError
from tests.data import layouts
from tests.data.test_prepare_downloads import Server

PROJECT = Path(__file__).resolve().parents[2]


def zip_folder(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            opened.write(file, file.relative_to(folder.parent))
    return archive


def manifest(root: Path, name: str) -> dict:
    (file,) = (root / name).glob("*/manifest.json")
    return json.loads(file.read_text())


# ---- all of them ------------------------------------------------------------------------------------------------------------


def test_every_set_has_a_script_a_row_in_the_docs_and_one_sentence_that_helps(root):
    docs = (PROJECT / "docs/data.md").read_text(encoding="utf-8")
    for name, recipe in recipes().items():
        script = PROJECT / "data_scripts" / f"{'medmnist' if name.endswith('mnist') and recipe.title.startswith('MedMNIST') else name}.py"
        assert script.exists(), name
        assert name in docs
        assert recipe.source.endswith(".")
        assert recipe.licence.endswith(".")
        assert "{raw}" in recipe.needs
        with pytest.raises(DataError, match=rf"{name} is not prepared: run `novkit data prepare {name}`"):
            load(name)
        for download in recipe.downloads(recipe.options):
            kind, _, digest = download.hash.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[kind]
            assert download.url.startswith(("https://", "http://"))


def test_unknown_options_and_versions(root, tmp_path):
    layouts.make_isic(tmp_path / "isic")
    for size in (16, 24):
        prepare("isic2016", source=tmp_path / "isic", verified=False, progress=False, size=size)
    assert load("isic2016", size=24).image_shape == (3, 24, 24)
    with pytest.raises(DataError, match="size=16 and size=24: name the options"):
        load("isic2016")
    with pytest.raises(DataError, match=r"not prepared with these options: run `novkit data prepare isic2016 --size 32`"):
        load("isic2016", size=32)
    for call in (load, prepare):
        with pytest.raises(SettingsError, match="no option 'sise'"):
            call("isic2016", sise=3)
    for size in (2, 5000, "8"):
        with pytest.raises(SettingsError, match="size is"):
            prepare("isic2016", size=size)
    with pytest.raises(DataError, match="did you mean 'isic2016'"):
        load("isic2061")
    with pytest.raises(DataError, match="no recipe for 'isic'"):
        prepare("isic")


# ---- ISIC 2016 --------------------------------------------------------------------------------------------------------------


def test_isic(root, tmp_path):
    colours = layouts.make_isic(tmp_path / "isic")
    data = prepare("isic2016", source=tmp_path / "isic", verified=False, progress=False, size=24)
    assert type(data) is type(load("digits")) is ImageDataset
    assert data.table["id"].tolist() == sorted(colours)
    assert data.labels.tolist() == ["malignant", "benign", "benign"] * 2 + ["malignant", "benign", "benign", "malignant"]
    assert data.table["part"].tolist() == ["train"] * 6 + ["test"] * 4
    assert data.normal == "benign"
    assert data.masks is None
    for name, image in zip(data.table["id"], data.images, strict=True):
        assert np.abs(image.reshape(3, -1).T - colours[name]).max() <= 4  # the white sides were cropped, not squeezed in
    assert data.table["path"][0] == "ISBI2016_ISIC_Part3_Training_Data/ISIC_0000000.jpg"
    held = manifest(root, "isic2016")
    assert held["counts"]["labels"] == {"benign": {"images": 6, "groups": 6}, "malignant": {"images": 4, "groups": 4}}
    images = root / "isic2016/size=24/images.npy"
    assert held["files"]["images.npy"] == {"bytes": images.stat().st_size, "sha256": hashlib.sha256(images.read_bytes()).hexdigest()}
    assert held["dataset"]["extra"]["verified"] is False
    with pytest.raises(DataError, match=r"Training_GroundTruth\.csv is not the published file"):
        prepare("isic2016", source=tmp_path / "isic", progress=False, size=32)
    trusting = replace(recipes()["isic2016"], downloads=lambda options: ())
    with pytest.raises(DataError, match=r"holds 6 of isic2016's 900 \(train images\)"):
        prepare("isic2016", source=tmp_path / "isic", recipe=trusting, progress=False, size=32)


def test_isic_is_fetched_unpacked_and_goes_on_without_its_test_part(root, tmp_path):
    layouts.make_isic(tmp_path / "isic")
    archive = zip_folder(tmp_path / "isic/ISBI2016_ISIC_Part3_Training_Data", tmp_path / "images.zip").read_bytes()
    truth = (tmp_path / "isic/ISBI2016_ISIC_Part3_Training_GroundTruth.csv").read_bytes()
    with Server(archive, cuts=(1000,)) as images, Server(truth) as labels:
        downloads = tuple(
            Download(server.url, f"sha256:{hashlib.sha256(content).hexdigest()}", f"ISBI2016_ISIC_Part3_Training_{name}")
            for server, content, name in ((images, archive, "Data.zip"), (labels, truth, "GroundTruth.csv"))
        )
        recipe = replace(recipes()["isic2016"], downloads=lambda options: downloads, complete={"train images": 6, "test images": 379})
        data = prepare("isic2016", recipe=recipe, progress=False, size=16)
        assert len(data) == 6
        assert len(images.asked) == 2
        prepare("isic2016", recipe=recipe, progress=False, size=16)
        prepare("isic2016", recipe=recipe, progress=False, size=20)  # another version of the same files
        assert len(images.asked) == 2
    sources = json.loads((root / "isic2016/size=16/manifest.json").read_text())["sources"]
    assert sources["ISBI2016_ISIC_Part3_Training_Data.zip"]["sha256"] == hashlib.sha256(archive).hexdigest()
    assert len(list((root / "isic2016/unpacked").iterdir())) == 1


def test_isic_truth_is_checked(tmp_path, root):
    file = tmp_path / "truth.csv"
    file.write_text('\'ISIC_0000001\', malignant\n"ISIC_0000002","benign"\nISIC_0000003,0.0\n ISIC_0000004 ,1.0\n')
    assert read_truth(file)["label"].tolist() == ["malignant", "benign", "benign", "malignant"]
    assert read_truth(file)["id"].tolist() == [f"ISIC_000000{k}" for k in (1, 2, 3, 4)]
    file.write_text("ISIC_0000001,unsure\n")
    with pytest.raises(DataError, match="'unsure'"):
        read_truth(file)
    layouts.make_isic(tmp_path / "isic")
    (tmp_path / "isic/ISBI2016_ISIC_Part3_Training_Data/ISIC_0000004.jpg").unlink()
    with pytest.raises(DataError, match=r"ISIC_0000004\.jpg is missing"):
        prepare("isic2016", source=tmp_path / "isic", verified=False, progress=False)


# ---- chest X-rays -----------------------------------------------------------------------------------------------------------


def test_kermany(root, tmp_path):
    layouts.make_kermany(tmp_path / "raw")
    archive = zip_folder(tmp_path / "raw/chest_xray", tmp_path / "ChestXRay2017.zip")
    for number, source in enumerate((tmp_path / "raw", archive)):
        data = prepare("kermany_chest_xray", source=source, verified=False, progress=False, size=20 + number)
        assert len(data) == len(layouts.KERMANY)
        for name, (label, group) in layouts.KERMANY.items():
            row = data.table.set_index("id").loc[name.replace("NORMAL/", "").replace("PNEUMONIA/", "")]
            assert (row["label"], row["group"]) == (label, group)
        assert data.image_shape == (1, 20 + number, 20 + number)
        assert data.normal == "normal"
    assert len(set(data.table["path"])) == len(data)
    square = np.asarray(Image.open(tmp_path / "raw/chest_xray" / "train/NORMAL/IM-0115-0001.jpeg"))[:, 10:60]
    expected = np.asarray(Image.fromarray(square).resize((21, 21), Image.Resampling.BILINEAR))
    assert np.array_equal(data.images[data.table["id"] == "train/IM-0115-0001.jpeg"][0, 0], expected)
    with pytest.raises(DataError, match=r"3 of kermany_chest_xray's 1583 \(normal\)"):
        prepare("kermany_chest_xray", source=tmp_path / "raw", progress=False)
    with pytest.raises(DataError, match=r"ChestXRay2017\.zip from Mendeley"):
        prepare("kermany_chest_xray", progress=False)
    wrong = tmp_path / "raw/chest_xray/train/NORMAL/person7_virus_1.jpeg"
    Image.new("L", (9, 9)).save(wrong)
    with pytest.raises(DataError, match="lies in NORMAL but is named as virus"):
        prepare("kermany_chest_xray", source=tmp_path / "raw", verified=False, progress=False)


@pytest.mark.filterwarnings("error::UserWarning")
def test_rsna(root, tmp_path):
    stored = layouts.make_rsna(tmp_path / "rsna")
    data = prepare("rsna_pneumonia", source=tmp_path / "rsna", verified=False, progress=False, size=32)
    assert data.table["id"].tolist() == sorted(stored)  # one row an image, although boxes have rows of their own
    assert data.labels.tolist() == [name for name, _ in layouts.RSNA]
    assert data.normal == "Normal"
    assert data.table["group"].tolist() == ["00000000", "00000001", "00000002", "00000000", "00000001"]
    assert data.table["view"].tolist() == ["PA", "PA", "AP", "PA", "AP"]
    assert data.images.dtype == np.uint8
    for name, image in zip(data.table["id"], data.images, strict=True):
        assert np.array_equal(image[0], np.rint(255 * (1 - stored[name] / 4095)))  # MONOCHROME1, 12 bits
    assert data.table["age"].tolist() == ["51"] * 5
    with pytest.raises(DataError, match=r"2 of rsna_pneumonia's 8851 \(Normal\)"):
        prepare("rsna_pneumonia", source=tmp_path / "rsna", progress=False)
    layouts.make_rsna(tmp_path / "without", mappings=False)
    data = prepare("rsna_pneumonia", source=tmp_path / "without", verified=False, progress=False, size=16)
    assert data.table["group"].tolist() == sorted(stored)
    (tmp_path / "without/pneumonia-challenge-dataset-mappings_2018.json").write_text("[]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = prepare("rsna_pneumonia", source=tmp_path / "without", verified=False, progress=False, size=20)
    assert data.table["group"].tolist() == sorted(stored)  # whom the mapping does not name is a patient of their own
    (tmp_path / "without/stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(DataError, match="with a Kaggle account download"):
        prepare("rsna_pneumonia", source=tmp_path / "without", progress=False, size=8)


# ---- MedMNIST, torchvision --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"), [("pneumoniamnist", {}), ("dermamnist", {"colour": True}), ("chestmnist", {"several": True, "compressed": False})]
)
def test_medmnist_is_what_loading_the_file_gives(root, tmp_path, name, kind):
    layouts.make_medmnist(tmp_path / f"{name}.npz", **kind)
    with pytest.raises(DataError, match="not the published file"):
        prepare(name, source=tmp_path, progress=False)
    data = prepare(name, source=tmp_path / f"{name}.npz", verified=False, progress=False)
    direct = load_medmnist(tmp_path / f"{name}.npz")
    assert np.array_equal(data.images, direct.images)
    assert data.normal == direct.normal
    shared = [column for column in direct.table.columns if column in data.table.columns]
    assert {"id", "label", "group", "part"} <= set(shared)
    text = dict.fromkeys(("id", "label", "group", "part"), object)
    pd.testing.assert_frame_equal(data.table[shared].astype(text), direct.table[shared].astype(text), check_dtype=False)
    assert load(name, where="part == 'val'").images.shape[0] == 2
    with pytest.raises(SettingsError, match="no size 32"):
        prepare(name, source=tmp_path, progress=False, size=32)


def test_medmnist_is_fetched_by_its_hash(root, tmp_path):
    layouts.make_medmnist(tmp_path / "pneumoniamnist.npz")
    content = (tmp_path / "pneumoniamnist.npz").read_bytes()
    with Server(content, cuts=(3000, 3000)) as server:
        download = Download(server.url, f"md5:{hashlib.md5(content).hexdigest()}", "pneumoniamnist.npz")
        recipe = replace(recipes()["pneumoniamnist"], downloads=lambda options: (download,))
        assert len(prepare("pneumoniamnist", recipe=recipe, progress=False)) == 12
    assert (root / "pneumoniamnist/raw/pneumoniamnist.npz").read_bytes() == content
    assert len(load("pneumoniamnist")) == 12
    assert one_vs_rest(load("pneumoniamnist"), "normal", seed=0).y_test.any()


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist(root, tmp_path, name, kind):
    made = layouts.make_mnist(tmp_path, kind)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not the published file"):
        prepare(name, source=tmp_path, progress=False)
    data = prepare(name, source=tmp_path, verified=False, progress=False)
    assert np.array_equal(data.images[:, 0], np.concatenate([made["train"], made["t10k"]]))
    assert data.table["part"].tolist() == ["train"] * 12 + ["test"] * 5
    names = [str(k) for k in range(10)] if name == "mnist" else torchvision.datasets.FashionMNIST.classes
    assert data.labels.tolist() == [names[k % 10] for k in (*range(12), *range(5))]
    assert data.normal == names[0]
    assert prepare(name, source=tmp_path, verified=False, progress=False, size=32).image_shape == (1, 32, 32)
    assert load(name, size=32).image_shape == (1, 32, 32)
    assert load(name).image_shape == (1, 28, 28)  # of two versions the one with the defaults


def test_cifar10_is_read_from_its_binary_version(root, tmp_path):
    images = layouts.make_cifar(tmp_path)
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is not the published file"):
        prepare("cifar10", source=tmp_path, progress=False)
    data = prepare("cifar10", source=tmp_path / "cifar-10-binary.tar.gz", verified=False, progress=False)
    assert np.array_equal(data.images, images)
    assert data.table["part"].tolist() == ["train"] * 20 + ["test"] * 4
    assert data.labels[:5].tolist() == ["airplane", "automobile", "bird", "cat", "automobile"]


# ---- a folder of one's own --------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path) -> Path:
    """Twelve images of two sizes, some in colour, with groups, masks and ages; two are the same picture."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rows = []
    for k in range(12):
        shape = (20 + 2 * (k % 2), 20, 3) if k == 5 else (20 + 2 * (k % 2), 20)
        array = layouts.rng(0 if k == 8 else k).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(array).save(folder / f"{k}.png")
        if k % 3 == 0:
            Image.fromarray(np.where(array > 200, 255, 0).astype(np.uint8)).save(folder / f"{k}_mask.png")
        rows.append((f"{k}.png", "ill" if k % 3 == 0 else "healthy", f"p{k // 2}", f"{k}_mask.png" if k % 3 == 0 else "", 40 + k))
    pd.DataFrame(rows, columns=["path", "label", "group", "mask", "age"]).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_a_prepared_folder_is_what_loading_the_folder_gives(root, own, channels):
    recipe = folder_recipe(own, "chest")
    prepare("chest", source=own, recipe=recipe, progress=False, size=16, channels=channels)
    stored, direct = load("chest", size=16), load(own, size=16, channels=channels, cache=False)
    assert np.array_equal(stored.images, direct.images)
    assert np.array_equal(stored.masks, direct.masks)
    text = dict.fromkeys(("id", "path", "label", "group", "mask"), object)
    pd.testing.assert_frame_equal(stored.table.astype(text), direct.table[stored.table.columns].astype(text))
    assert (stored.normal, stored.fingerprint == direct.fingerprint) == ("healthy", True)
    assert stored.table["group"].iloc[0] == stored.table["group"].iloc[8]
    some = load("chest", where="age > 45")
    assert some.table["age"].min() == 46
    assert some.fingerprint not in (stored.fingerprint, load("chest", where="age > 46").fingerprint)
    assert load("chest", normal="ill").normal == "ill"
    assert load("chest", masks=False).masks is None


def test_a_changed_folder_is_prepared_again(root, own):
    first = prepare("chest", source=own, recipe=folder_recipe(own, "chest"), progress=False, size=16)
    before = first.fingerprint
    del first  # a map in use cannot be replaced on Windows
    Image.new("L", (20, 20), 7).save(own / "0.png")
    after = prepare("chest", source=own, recipe=folder_recipe(own, "chest"), progress=False, size=16)
    assert (after.images[0] == 7).all()
    assert after.fingerprint != before
    assert len(list((root / "chest").glob("*/manifest.json"))) == 1


def test_folder_names_and_sizes(root, own):
    for name in ("isic2016", "brain", "../x", "a/b", ".x", ""):
        if name:
            with pytest.raises(SettingsError, match=r"is the name of|cannot be the name"):
                folder_recipe(own, name)
    with pytest.raises(DataError, match=r"1\.png is 20×22, unlike.*give a size"):
        prepare("chest", source=own, recipe=folder_recipe(own, "chest"), progress=False)
    with pytest.raises(SettingsError, match="channels is 2"):
        prepare("chest", source=own, recipe=folder_recipe(own, "chest"), progress=False, channels=2)
    assert not list((root / "chest").glob("size=*"))
