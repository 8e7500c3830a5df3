"""What two processes train together is what one trains alone; the two are started once, and this file is what they run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from novkit.checkpoints import CheckpointFolder
from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.errors import NovkitError, StoredFileError, TrainingError
from novkit.images import batches
from novkit.methods import make_detector
from novkit.processes import leave
from novkit.seeding import seeded
from tests.toy_training import Adversarial, Denoising, run, weights, without_seconds

_TEND = {"epochs_autoencoder": 2, "epochs": 8, "warmup": 2, "width": 4, "embedding": 16, "least_steps": 1}
TRAINED = {  # what is drawn for an image is the same in whichever process it is, and batch normalisation sees all
    "patchgan": ("patchgan", {"epochs": 6, "width": 4, "discriminator_width": 4}, "reconstructor_loss"),
    "tend": ("tend", _TEND, "classification"),
    "tend, as published": ("tend", _TEND | {"batch_norm": False}, "classification"),
    "tend, published transformations": ("tend", _TEND | {"batch_norm": False, "transformations": "published"}, "classification"),
    "vae": ("vae", {"epochs": 4, "width": 4, "latent": 8, "least_steps": 1}, "kl"),
    "alocc": ("alocc", {"epochs": 4, "width": 4, "latent": 8, "least_steps": 1}, "reconstructor_error"),
}


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

        self.seen = set()

    def begin_epoch(self, epoch, images, step):
        self.modules["net"].centre.fill_(float(os.environ.get("RANK", 0)) + 1)

    def loss(self, optimizer, images, step):
        self.seen.add(float(self.modules["net"].centre))
        return super().loss(optimizer, images, step)


class Full(CheckpointFolder):
    """On a disk that is full; only the first process writes."""

    def write(self, checkpoint):
        raise StoredFileError("The disk is full: make room.")


class GivesUp(Alone):
    """Raises where it validates, which only the first process does."""

    def __init__(self, at=0):
        super().__init__()
        self.at = at

    def validate(self, images, step):
        if step.epoch == self.at:
            raise TrainingError("The network has collapsed: lower lr.")
        return super().validate(images, step)


def what_it_says(objective, **settings):
    try:
        run(objective, batch_size=8, **settings)
    except NovkitError as error:
        return str(error)
    return "nothing"


class CrampedNorm(Denoising):
    """Batch normalisation over both processes, the second of which has room for three images; where it fails, the first is waiting."""

    def __init__(self, late: bool):
        super().__init__(lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)))
        self.late, self.sizes = late, []

    def loss(self, optimizer, images, step):
        self.sizes.append(len(images))
        cramped = step.process == 1 and len(images) > 3
        if cramped and not self.late:
            raise torch.OutOfMemoryError("no room")
        values = super().loss(optimizer, images, step)
        if cramped:
            raise torch.OutOfMemoryError("no room for gradients")
        return values


def learnt(method, changes, _):
    """The epochs of a method's last training on a few digits."""
    X = one_vs_rest(load("digits"), "0", seed=0).X_train
    detector = make_detector(method, changes=changes, seed=0, device="cpu", progress=False)
    return without_seconds(list(detector.fit(X[:96], X[96:]).history_.values())[-1])


def exchanging():
    """Names of this process's threads that serve the other processes; Linux alone tells."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


def main(place: Path) -> None:
    rank = os.environ["RANK"]

    def keep(name, objective, history):
        losses = [row["reconstructor_loss"] for row in history.epochs] if name != "statistics" else []
        np.savez(place / f"{name}-{rank}.npz", losses=losses, **weights(objective))

    for name, objective in {"share": Alone(), "again": Alone(), "cramped": CrampedFirst()}.items():  # "again" is loaded
        folder = place / "run" if name != "cramped" else None
        keep(name, objective, run(objective, batch_size=8, gradient_clip=1.0, folder=folder))
    for late in (False, True):
        cramped = CrampedNorm(late)
        run(cramped, epochs=2, batch_size=8)
        np.savez(place / f"norm-{late}-{rank}.npz", sizes=cramped.sizes, **weights(cramped))
    objective = OwnCentre()
    keep("statistics", objective, run(objective, batch_size=8))
    (place / f"centres-{rank}.txt").write_text(str(objective.seen))
    (place / f"collapse-{rank}.txt").write_text(what_it_says(GivesUp()))
    what_it_says(GivesUp(at=2), folder=place / "stopped", checkpoint_seconds=0)
    for name, of in TRAINED.items():
        (place / f"{name}-{rank}.json").write_text(json.dumps(learnt(*of)))
    run(Alone(), epochs=1, batch_size=8, folder=place / "disk-0")  # only the first writes
    (place / f"apart-{rank}.txt").write_text(what_it_says(Alone(), epochs=1, folder=place / f"disk-{rank}"))
    with mock.patch("novkit.training.CheckpointFolder", Full):
        (place / f"full-{rank}.txt").write_text(what_it_says(Alone(), folder=place / "full"))
    run(Alone(), batch_size=8)  # as another attempt would: the processes are still in step
    threads = exchanging()
    leave()
    (place / f"threads-{rank}.json").write_text(json.dumps([threads, exchanging()]))


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
    said = "A batch of 4 images does not fit into the device's memory: it is taken in 2 pieces"
    assert (two / "said.txt").read_text().count(said) == 3  # by the one that has no room, in each of the three runs that have such a one


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True])
def test_where_statistics_are_shared_all_take_a_batch_in_pieces_that_does_not_fit_into_one(two, late):
    with np.load(two / f"norm-{late}-0.npz") as first, np.load(two / f"norm-{late}-1.npz") as second:
        for key in set(first) - {"sizes", "net.1.num_batches_tracked"}:  # attempts count, and one failed before it came there
            np.testing.assert_allclose(first[key], second[key], rtol=1e-6, err_msg=key)
            assert np.isfinite(first[key]).all()
        assert first["sizes"].tolist() == [4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]  # the first had room for all
        assert second["sizes"].tolist() == [4, 2, 2, 2, 2, 3, 2, 2, 2, 2, 3]


@pytest.mark.slow
def test_all_hold_the_statistics_of_the_first(two):
    with np.load(two / "statistics-0.npz") as first, np.load(two / "statistics-1.npz") as second:
        assert [(two / f"centres-{rank}.txt").read_text() for rank in "01"] == ["{1.0}"] * 2  # from the first step on
        assert set(first) == set(second)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_every_method_learns_the_same(two, name):
    """Every loss to rounding, which training magnifies: a draw that differed would show at once."""
    found, alone, loss = compared(two, name, TRAINED[name])
    for column in alone:
        logit = 0.01 if column == "reconstructor_authenticity" else 0  # about 0 it moves as far between one thread and two
        np.testing.assert_allclose(found[column], alone[column], rtol=2e-3, atol=logit, err_msg=column)
    assert len(set(alone[loss])) > 1


def compared(two, name, of):
    """What two processes and one have in each column of their history, and the loss to look at."""
    both = [json.loads((two / f"{name}-{rank}.json").read_text()) for rank in "01"]
    assert both[0] == both[1]
    return *({key: [epoch[key] for epoch in epochs] for key in epochs[0] if key != "phase"} for epochs in (both[0], learnt(*of))), of[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("collapse", "The network has collapsed: lower lr."),
        ("apart", "Not every process sees the checkpoints"),
        ("full", "The disk is full"),
    ],
)
def test_all_learn_what_keeps_them_from_going_on(two, name, sentence):
    assert all((two / f"{name}-{rank}.txt").read_text().startswith(sentence) for rank in "01")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process with their names")
def test_nothing_runs_on_after_leaving(two):
    """A thread that still exchanges while Python ends aborts the process, now and then."""
    for rank in "01":
        before, after = json.loads((two / f"threads-{rank}.json").read_text())
        assert before
        assert not after


@pytest.mark.slow
def test_another_number_of_processes_goes_on_and_says_so(two, tmp_path, capsys):
    folder = Path(shutil.copytree(two / "stopped", tmp_path / "stopped"))
    whole, resumed = Alone(), GivesUp(at=99)
    expected = run(whole, batch_size=8)
    history = run(resumed, batch_size=8, folder=folder, checkpoint_seconds=0)
    said = f"The number of processes is 1, and was 2 when {folder} was written"
    assert capsys.readouterr().err.count(said) == 1
    assert len(history.epochs) == len(expected.epochs) > 2
    for key, value in weights(whole).items():
        np.testing.assert_allclose(weights(resumed)[key], value, rtol=1e-4, atol=1e-6)
    run(GivesUp(at=99), batch_size=8, folder=folder)  # all is done
    run(GivesUp(at=99), batch_size=8)
    assert "number of processes" not in capsys.readouterr().err


if __name__ == "__main__":
    main(Path(sys.argv[1]))
