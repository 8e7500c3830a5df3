"""Nearest neighbours of patches, against brute force."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from novkit.baselines import PatchKnnSettings
from novkit.baselines.autoencoder import bottleneck_autoencoder
from novkit.baselines.patch_knn import k_centre_greedy, nearest_distances, patch_embeddings
from novkit.errors import SettingsError
from tests.baselines.conftest import beside, fit
from tests.conftest import blobs


def test_embeddings_are_the_encoders_own_activations():
    torch.manual_seed(0)
    autoencoder, x = bottleneck_autoencoder((1, 32, 32), 4, 8), torch.rand(3, 1, 32, 32)
    seen: dict[int, torch.Tensor] = {}
    for number, layer in enumerate(autoencoder.encoder[0]):
        layer.register_forward_hook(lambda module, inputs, output, number=number: seen.update({number: output}))
    with torch.no_grad():
        autoencoder(x)
        fine = patch_embeddings(autoencoder, x, (2,), 1)
        both = patch_embeddings(autoencoder, x, (1, 2), 1)
        pooled = patch_embeddings(autoencoder, x, (2,), 3)
    torch.testing.assert_close(fine, seen[1])  # the ReLU after the first of three convolutions
    assert both.shape == (3, 4 + 8, 16, 16)
    torch.testing.assert_close(both[:, :4], fine)
    torch.testing.assert_close(both[:, 4:].mean(dim=(2, 3)), seen[3].mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled[:, :, 5, 6], fine[:, :, 4:7, 5:8].mean(dim=(2, 3)))
    torch.testing.assert_close(pooled[:, :, 0, 0], fine[:, :, :2, :2].mean(dim=(2, 3)))  # what lies outside is not averaged


def test_levels_too_deep_for_the_network_mean_its_first():
    autoencoder, x = bottleneck_autoencoder((1, 32, 32), 4, 8), torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(patch_embeddings(autoencoder, x, (7,), 1), patch_embeddings(autoencoder, x, (2,), 1))


def test_distances_are_those_of_brute_force(fitted):
    knn, X = fitted("patch_knn"), np.concatenate([blobs(2, seed=3), beside(2, seed=4)])
    with torch.no_grad():
        maps = patch_embeddings(knn.autoencoder_, torch.from_numpy(X).float() / 255, knn.settings_.levels, knn.settings_.pool).numpy()
    n, features, rows, columns = maps.shape
    expected = np.empty((n, rows, columns))
    for r in range(rows):
        for c in range(columns):
            place = np.array([(r + 0.5) / rows - 0.5, (c + 0.5) / columns - 0.5]) * np.sqrt(features)
            points = np.concatenate([(maps[:, :, r, c] - knn.mean_) / knn.scale_, np.tile(place, (n, 1))], axis=1)
            expected[:, r, c] = np.sort(cdist(points, knn.bank_.astype(float)), axis=1)[:, :3].mean(axis=1)
    parts = knn.components(X)
    np.testing.assert_allclose(parts["patches"].reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)
    ordered = np.sort(expected.reshape(n, -1), axis=1)
    np.testing.assert_allclose(parts["score"], ordered[:, -round(0.05 * rows * columns) :].mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(parts["maximum"], ordered[:, -1], rtol=1e-4)


def test_bank_holds_normal_patches_and_is_bounded(fitted):
    knn = fitted("patch_knn")
    assert knn.bank_.shape == (300, 4 + 8 + 2)
    own = fit("patch_knn", epochs=1, neighbours=1, choice="random", bank=256 * 96, candidates=256 * 96).components(blobs(96)[:4])
    np.testing.assert_allclose(own["patches"], 0, atol=1e-3)  # with every patch in the bank, training images are at distance 0


def test_k_centre_is_the_farthest_first_traversal():
    points = np.random.default_rng(0).normal(size=(60, 3))
    chosen = [7]
    for _ in range(9):
        chosen.append(int(cdist(points, points[chosen]).min(axis=1).argmax()))
    np.testing.assert_array_equal(k_centre_greedy(points, 10, first=7), chosen)


def test_coreset_covers_better_than_chance():
    points = np.random.default_rng(1).normal(size=(500, 2))
    covered = cdist(points, points[k_centre_greedy(points, 20, first=0)]).min(axis=1).max()
    assert covered < cdist(points, points[:20]).min(axis=1).max()
    assert len(set(k_centre_greedy(np.zeros((5, 2)), 5, first=0))) == 5  # duplicates are taken last, each once


def test_random_bank_finds_the_anomaly_too():
    score = fit("patch_knn", choice="random").novelty_score(np.concatenate([blobs(30, seed=7), beside(30, seed=8)]))
    assert roc_auc_score([0] * 30 + [1] * 30, score) > 0.9


def test_without_position_a_moved_image_is_less_novel():
    """The moved disc is made of known patches; only their places are new."""
    gaps = {}
    for weight in (0.0, 3.0):
        knn = fit("patch_knn", position_weight=weight)
        normal, moved = knn.novelty_score(blobs(30, seed=7)), knn.novelty_score(beside(30, seed=8))
        gaps[weight] = (moved.mean() - normal.mean()) / normal.std()
    assert gaps[3.0] > 1.5 * gaps[0.0]


@pytest.mark.parametrize(
    "changes",
    [{"levels": ()}, {"levels": (-1,)}, {"pool": 2}, {"choice": "best"}, {"bank": 2}, {"bank": 30000}, {"top": 0.0}, {"floor": 0.0}],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        PatchKnnSettings(**changes)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_nearest_distances_are_exact_though_found_by_a_product(neighbours):
    rng = np.random.default_rng(2)
    bank, points = rng.normal(2, 1, (300, 20)).astype(np.float32), rng.normal(2, 1, (2100, 20)).astype(np.float32)
    points[::7] = bank[rng.integers(300, size=300)]  # a product alone would find them 0.003 away
    found = nearest_distances(torch.from_numpy(points), torch.from_numpy(bank), neighbours).numpy()
    expected = np.sort(cdist(points.astype(float), bank.astype(float)), axis=1)[:, :neighbours]
    np.testing.assert_allclose(np.sort(found, axis=1), expected, rtol=1e-5, atol=0)
