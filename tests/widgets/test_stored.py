"""What a results folder offers, and which pictures it finds for which test image."""

import numpy as np
import pytest

from novkit.baselines import PixelZScore
from novkit.data.setups import generated_ood, one_vs_rest
from novkit.errors import DataError, StoredFileError
from novkit.evaluation import Scores
from novkit.results import add_record, save_results
from novkit.widgets.stored import Run, StoredResults
from novkit.widgets.thumbnails import Card, cards_html
from tests.widgets.small import dataset, record, results_folder, run_on


def test_choices_follow_the_records(tmp_path):
    stored = StoredResults(results_folder(tmp_path))
    assert stored.datasets() == ["blobs", "others"]
    (case,) = stored.cases("blobs")
    assert case == "One-vs-rest, novel: square"
    assert stored.seeds("blobs", case) == [0, 1]
    assert stored.methods("blobs", case, 1) == ["TEND", "Autoencoder"]
    assert stored.run("blobs", case, 1, "Autoencoder").record.seed == 1
    with pytest.raises(DataError, match="no run of VAE"):
        stored.run("blobs", case, 1, "VAE")


def test_cases_that_read_alike_are_told_apart(tmp_path):
    for profile in ("quick", "paper"):
        given = Scores(*(np.array(["a", "b"]),) * 2, np.array([0, 1]), np.array(["round", "square"]), np.array([0.0, 1.0]))
        add_record(tmp_path, record(profile=profile, n_test=2), given)
    assert len(StoredResults(tmp_path).cases("blobs")) == 2


def test_folder_without_runs_is_refused(tmp_path):
    save_results(tmp_path, [])
    with pytest.raises(StoredFileError, match="no run yet"):
        StoredResults(tmp_path)


def test_stored_examples_belong_to_their_rows(tmp_path):
    stored = StoredResults(results_folder(tmp_path))
    (case,) = stored.cases("blobs")
    run = stored.run("blobs", case, 0, "TEND")
    found = stored.pictures(run, range(120))
    rows = [*np.flatnonzero(run.scores.label == 0)[:2], *np.flatnonzero(run.scores.label == 1)[:2]]
    assert sorted(found) == sorted(rows)
    assert found[rows[2]].mask.any()
    assert not found[rows[0]].mask.any()
    assert found[rows[1]].map.shape == (32, 32)
    assert stored.pictures(stored.run("blobs", case, 1, "TEND"), range(120)) == {}
    assert not stored.takes_time(run, range(120))


def test_every_test_image_has_its_picture_where_the_data_set_is_given(tmp_path):
    data = dataset()
    run = run_on(data, tmp_path)
    found = StoredResults(tmp_path, {"blobs": data}).pictures(run, [3, 0, 7])
    by_id = dict(zip(data.table["id"], data.images, strict=True))
    for row, picture in found.items():
        np.testing.assert_array_equal(picture.image, by_id[run.scores.id[row]])
        assert picture.map is None
        assert picture.mask.shape == (32, 32)


def test_generated_images_are_made_again(tmp_path):
    data = dataset()
    setup = generated_ood(data, "round", seed=0)
    table = setup.test_table
    n = len(table)
    given = Scores(table["id"].to_numpy(), table["group"].to_numpy(), setup.y_test, table["label"].to_numpy(), np.arange(n) * 1.0)
    stored = add_record(tmp_path, record(setup="generated_ood", novel=setup.novel, data_fingerprint="print", n_test=n), given)
    found = StoredResults(tmp_path, {"blobs": data}).pictures(Run(stored, given), range(n))
    np.testing.assert_array_equal(np.stack([found[row].image for row in range(n)]), setup.X_test)


def test_another_data_set_is_refused(tmp_path):
    data = dataset()
    run = run_on(data, tmp_path)
    other = dataset(60)
    object.__setattr__(other, "fingerprint", "other")
    with pytest.raises(DataError, match="not the one that was tested"):
        StoredResults(tmp_path, {"blobs": other}).pictures(run, [0])


def test_maps_come_from_the_stored_detector(tmp_path):
    data = dataset()
    run = run_on(data, tmp_path)
    setup = one_vs_rest(data, "round", seed=0)
    detector = PixelZScore(progress=False).fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
    detector.save(tmp_path / "detectors" / "blobs-round-pixel_zscore-seed0")
    stored = StoredResults(tmp_path, {"blobs": data})
    assert stored.takes_time(run, [1, 2])
    found = stored.pictures(run, [1, 2])
    np.testing.assert_array_equal(np.stack([found[1].map, found[2].map]), detector.novelty_map(setup.X_test[[1, 2]]))
    assert not stored.takes_time(run, [1, 2])  # kept


def test_pictures_have_words_and_captions_no_markup():
    image = np.zeros((1, 16, 16), np.uint8)
    card = Card(image, caption="<i>\nsecond", alt='a "square"', map=np.zeros((16, 16)), mask=np.ones((16, 16), bool))
    text = cards_html([card], "nothing")
    assert text.count("<img ") == 2
    assert 'alt="a &quot;square&quot;"' in text
    assert "&lt;i&gt;<br>second" in text
    assert cards_html([], "nothing <b>") == "<p>nothing &lt;b&gt;</p>"
