"""What two processes train together is what one trains alone; the two are started once, and this file is what they run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from novkit.errors import NovkitError, TrainingError
from novkit.images import batches
from novkit.processes import leave
from novkit.seeding import seeded
from tests.toy_training import Adversarial, Denoising, run, weights


class Alone(Adversarial):
    """Two optimisers, no batch statistics: what several processes compute must be what one does."""

    def __init__(self):
        self.modules = nn.ModuleDict({"d": seeded(0, "d", lambda: nn.Linear(64, 1)), "r": seeded(0, "r", lambda: nn.Linear(64, 64))})
        self.calls, self.gradients = [], []

    def loss(self, optimizer, images, step):
        x = images.flatten(1)
        if optimizer == "discriminator":
            return super().loss(optimizer, images, step)
        return {"loss": (self.modules["r"](x) - x).square().mean() - 0.1 * self.modules["d"](self.modules["r"](x)).mean()}

    def validate(self, images, step):
        x = torch.cat([x.flatten(1) for x in batches(images, 4)])
        return {"loss": float((self.modules["r"](x) - x).square().mean())}


class CrampedFirst(Alone):
    """The first process has room for two images, the other for all; fails there as late as it can, with a gradient already there."""

    def loss(self, optimizer, images, step):
        values = super().loss(optimizer, images, step)
        if step.process == 0 and len(images) > 2:
            values["loss"].backward(inputs=[p for p in self.modules["d" if optimizer == "discriminator" else "r"].parameters()])
            raise torch.OutOfMemoryError("no room")
        return values


class OwnCentre(Denoising):
    """Batch normalisation, whose statistics each process sees of its own share, and a centre that each would set otherwise."""

    def __init__(self):
        super().__init__()
        self.modules["net"].register_buffer("centre", torch.zeros(1))

    def begin_epoch(self, epoch, images, step):
        self.modules["net"].centre.fill_(float(os.environ.get("RANK", 0)) + 1)


class GivesUp(Alone):
    """Raises where it validates, which only the first process does."""

    def validate(self, images, step):
        raise TrainingError("The network has collapsed: lower lr.")


def what_it_says(objective, **settings):
    try:
        run(objective, batch_size=8, **settings)
    except NovkitError as error:
        return str(error)
    return "nothing"


def main(place: Path) -> None:
    rank = os.environ["RANK"]

    def keep(name, objective, history):
        losses = [row["reconstructor_loss"] for row in history.epochs] if name != "statistics" else []
        np.savez(place / f"{name}-{rank}.npz", losses=losses, **weights(objective))

    for name, objective in {"share": Alone(), "again": Alone(), "cramped": CrampedFirst()}.items():  # "again" is loaded
        folder = place / "run" if name != "cramped" else None
        keep(name, objective, run(objective, batch_size=8, gradient_clip=1.0, folder=folder))
    objective = OwnCentre()
    keep("statistics", objective, run(objective, batch_size=8))
    (place / f"collapse-{rank}.txt").write_text(what_it_says(GivesUp()))
    run(Alone(), epochs=1, batch_size=8, folder=place / "disk-0")  # only the first writes
    (place / f"apart-{rank}.txt").write_text(what_it_says(Alone(), epochs=1, folder=place / f"disk-{rank}"))
    run(Alone(), batch_size=8)  # as another attempt would: the processes are still in step
    leave()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes left what they found."""
    place = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", __file__, str(place)]
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1]), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (place / "said.txt").write_text(done.stderr)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", ["share", "again", "cramped"])
def test_two_processes_do_what_one_does(two, name):
    alone = Alone()
    history = run(alone, batch_size=8, gradient_clip=1.0)
    for rank in "01":
        with np.load(two / f"{name}-{rank}.npz") as found:
            for key, value in weights(alone).items():
                np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(found["losses"], [row["reconstructor_loss"] for row in history.epochs], rtol=1e-4)


@pytest.mark.slow
def test_a_process_whose_share_does_not_fit_takes_it_in_pieces_and_says_so(two):
    assert (two / "said.txt").read_text().count("A batch of 4 images does not fit into the device's memory: it is taken in 2 pieces") == 1


@pytest.mark.slow
def test_all_hold_the_statistics_of_the_first(two):
    with np.load(two / "statistics-0.npz") as first, np.load(two / "statistics-1.npz") as second:
        assert first["net.centre"] == second["net.centre"] == 1
        assert set(first) == set(second)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"), [("collapse", "The network has collapsed: lower lr."), ("apart", "Not every process sees the checkpoints")]
)
def test_all_learn_what_keeps_them_from_going_on(two, name, sentence):
    assert all((two / f"{name}-{rank}.txt").read_text().startswith(sentence) for rank in "01")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
