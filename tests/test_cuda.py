"""Every method on a GPU: what it gives there, and that nothing waits for it. Skipped where there is none."""

import numpy as np
import pytest
import torch

from novkit import training
from novkit.distortions import distort, near_identity
from novkit.distortions.compiled import distort_compiled, near_identity_compiled
from novkit.methods import make_detector
from novkit.seeding import torch_generator
from tests.conftest import blobs
from tests.test_properties import METHODS, TINY, tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

AGREEMENT = 0.01  # of the largest score where convolutions round to TensorFloat32, else of the scores' range


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_the_cpu(method, rounded, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", rounded)
    detector = tiny(method).fit(blobs(48), blobs(12, seed=1), X_threshold=blobs(12, seed=2))
    images = blobs(24, seed=3)
    here = detector.novelty_score(images)
    detector.device = "cuda"
    np.testing.assert_allclose(
        detector.novelty_score(images), here, rtol=0, atol=AGREEMENT * (np.abs(here).max() if rounded else np.ptp(here))
    )


TRAINED = [(method, {}) for method in sorted(TINY)] + [("tend", {"transformations": "published"}), ("tend", {"compiled": True})]


@pytest.mark.parametrize(("method", "changes"), TRAINED)
def test_no_step_waits_for_the_gpu(method, changes, monkeypatch):
    """But for the first of an epoch, when memory is still being taken, and the last, after which losses are read."""
    forward, images, batch = training._Loss.forward, blobs(64), 8

    def strict(self, optimizer, x, step):
        torch.cuda.set_sync_debug_mode("error" if 1 <= step.step < len(images) // batch - 1 else "default")
        return forward(self, optimizer, x, step)

    monkeypatch.setattr(training._Loss, "forward", strict)
    changes = {**TINY[method], **changes, "batch_size": batch}
    try:
        make_detector(method, changes=changes, device="cuda", progress=False).fit(images, blobs(12, seed=1))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_compiled_transformations_are_those_of_the_cpu():
    images = torch.from_numpy(blobs(24)).float() / 255
    for compiled, plain in (
        (lambda x, g: distort_compiled(x, g)[0], lambda x, g: distort(x, g)[0]),
        (near_identity_compiled, near_identity),
    ):
        found = compiled(images.cuda(), torch_generator(3)).cpu()
        assert (found - plain(images, torch_generator(3))).abs().mean() < 1e-4
