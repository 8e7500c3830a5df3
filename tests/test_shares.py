"""What is drawn for an image of a batch is the same in whichever process or piece of the batch it is computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.cases import patchgan, tend_stage_2
from novkit.images import to_tensor
from novkit.patchgan.settings import PatchGanSettings
from novkit.seeding import seeded
from novkit.tend.settings import TendSettings
from novkit.training import LoopSettings, Step, train
from tests.conftest import blobs
from tests.toy_training import CPU, weights


@pytest.mark.parametrize("kind", ["default", "published"])
def test_pieces_and_shares_of_a_batch_are_transformed_as_the_whole_is(kind):
    objective, images = tend_stage_2(TendSettings(warmup=0, transformations=kind), 32), to_tensor(blobs(12))
    step = Step(0, 1, 2, CPU, whole=12)
    whole = objective.pair(images, step)
    for first, last in ((0, 5), (5, 12), (7, 8)):
        share = objective.pair(images[first:last], replace(step, first=first, process=1, piece=3))
        for found, expected in zip(share, whole, strict=True):
            torch.testing.assert_close(found, expected[first:last], rtol=0, atol=1e-5)


def test_pieces_and_shares_of_a_batch_are_masked_as_the_whole_is():
    objective, images = patchgan(PatchGanSettings.quick(boxes=(1, 2)), 32), to_tensor(blobs(12))
    step = Step(0, 1, 2, CPU, whole=12)
    whole = objective.restore(images, step.batch_generator("mask"))[0]
    share = objective.restore(images[5:9], replace(step, first=5, process=1).batch_generator("mask"))[0]
    assert torch.equal(share, whole[5:9])
    assert not torch.equal(share, whole[:4])


def test_a_batch_in_pieces_gives_the_weights_of_the_whole():
    """TEND without batch normalisation: what is drawn for an image does not depend on the piece."""

    def trained(room):
        objective, wanted = seeded(0, "stage 2", lambda: tend_stage_2(TendSettings(warmup=0, epochs=2), 32)), []

        def cramped(x, t, phase, losses=objective.losses):
            wanted.append(len(x))
            if len(x) > room:
                raise torch.OutOfMemoryError("no room")
            return losses(x, t, phase)

        objective.losses = cramped
        train(objective, blobs(24), blobs(1), LoopSettings(epochs=2, batch_size=8), seed=0, device="cpu", progress=False)
        return weights(objective), wanted

    (whole, _), (pieces, wanted) = trained(8), trained(3)
    assert wanted[:3] == [8, 4, 2]  # as many as were tried, until they fitted
    for key, value in whole.items():
        np.testing.assert_allclose(pieces[key], value, rtol=1e-3, atol=1e-4, err_msg=key)


def test_pieces_draw_their_own_noise_and_the_first_draws_the_whole_batchs():
    step = Step(0, 1, 2, CPU)
    draws = [torch.rand(3, generator=replace(step, piece=piece).generator("noise")).tolist() for piece in (0, 1, 2)]
    assert draws[0] == torch.rand(3, generator=step.generator("noise")).tolist()
    assert draws[0] != draws[1] != draws[2]
