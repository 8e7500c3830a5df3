"""Precomputed patch runs: trained on a grid, stored, read again, and looked at without interpolation."""

import numpy as np
import pytest

from novkit.errors import DataError, StoredFileError
from novkit.notebooks import reference_results
from novkit.patchgan.masking import PatchGrid
from novkit.widgets import PatchExplorer
from novkit.widgets.patch_runs import FILE, MASK_SHARES, PATCHES, PatchRuns, run_grid
from novkit.widgets.patch_view import PatchScores
from tests.conftest import blobs


def runs(n: int = 3) -> PatchRuns:
    draw = np.random.default_rng(0)
    grids = {(8, 0.25): PatchGrid(8, 4, 4), (4, 0.5): PatchGrid(4, 8, 8)}
    scores = {key: PatchScores(draw.normal(size=(n, grid.count)).astype(np.float32).astype(float), grid) for key, grid in grids.items()}
    return PatchRuns(scores, blobs(n), np.zeros((n, 32, 32), bool), np.array(["a"] * n), "Two runs.")


def test_stored_runs_come_back(tmp_path):
    given = runs()
    found = PatchRuns.load(given.save(tmp_path / "runs.npz"))
    assert list(found.scores) == list(given.scores)
    for key, run in found.scores.items():
        assert run.grid == given.scores[key].grid
        np.testing.assert_array_equal(run.scores, given.scores[key].scores)
    np.testing.assert_array_equal(found.images, given.images)
    assert (found.about, list(found.labels)) == (given.about, list(given.labels))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive"])
def test_missing_and_damaged_files_are_said(tmp_path, content):
    path = tmp_path / "runs.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoredFileError, match=r"runs\.npz cannot be read .* novkit\.widgets\.patch_runs"):
        PatchRuns.load(path)


def test_parts_that_do_not_fit_are_refused():
    given = runs()
    with pytest.raises(DataError, match="another number"):
        PatchRuns(given.scores, given.images[:2], given.masks, given.labels)
    with pytest.raises(DataError, match="another number"):
        PatchRuns({}, given.images, given.masks, given.labels)
    with pytest.raises(DataError, match=r"give bool \(n, height, width\)"):
        PatchRuns(given.scores, given.images, given.masks.astype(float), given.labels)
    with pytest.raises(DataError, match=r"give bool \(n, height, width\)"):
        PatchRuns(given.scores, given.images, given.masks[:, 1:], given.labels)


def test_the_stored_grid_is_the_stated_one():
    stored = PatchRuns.load()
    assert set(stored.scores) == {(patch, share) for patch in PATCHES for share in MASK_SHARES}
    assert {"healthy", "glioma", "ms", "infarct", "haemorrhage", "ventricles"} == set(stored.labels)
    assert "seed 0" in stored.about
    assert not stored.masks[stored.labels == "healthy"].any()
    assert (reference_results() / FILE).stat().st_size < 1_000_000
    explorer = PatchExplorer(stored.scores, stored.images, stored.masks, labels=stored.labels, progress=False)
    offered = [value for _, value in explorer.controls["run"].options]
    assert offered == sorted(stored.scores)
    for key in offered:
        explorer.controls["run"].value = key
        shown = np.array(explorer.canvas.widget.data[1].customdata, float)[..., 1].ravel()
        np.testing.assert_array_equal(shown, stored.scores[key].scores[0])  # a run's own scores, nothing in between


@pytest.mark.slow
def test_a_small_grid_is_trained(monkeypatch):
    monkeypatch.setattr("novkit.widgets.patch_runs.PATCHES", (8,))
    monkeypatch.setattr("novkit.widgets.patch_runs.MASK_SHARES", (0.25, 0.5))
    found = run_grid(n_healthy=48, n_shown=2, n_novel_shown=1, epochs=1, width=4, discriminator_width=4, partitions=1, progress=False)
    assert list(found.scores) == [(8, 0.25), (8, 0.5)]
    assert found.images.shape == (7, 1, 64, 64)
    assert not np.allclose(*(run.scores for run in found.scores.values()))
