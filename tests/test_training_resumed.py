"""Training that was stopped goes on with the same bits; what is killed is a subprocess of this file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from novkit.checkpoints import restore_optimizer
from novkit.devices import adam
from novkit.errors import SettingsError, StoredFileError
from tests.toy_training import IMAGES, Denoising, assert_same, run, weights, without_seconds

# ---- checkpoints -------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupted_after(epochs, folder, total, **settings):
    """Train but stop in the middle of epoch `epochs`, as a lost power supply would."""
    objective = Denoising()
    original = objective.loss

    def loss(optimizer, images, step):
        if step.epoch == epochs and step.step == 2:
            raise Interrupted
        return original(optimizer, images, step)

    objective.loss = loss
    with pytest.raises(Interrupted):
        run(objective, epochs=total, folder=folder, **settings)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stop):
    whole, resumed = Denoising(), Denoising()
    expected = run(whole, epochs=4)
    interrupted_after(stop, tmp_path, 4, checkpoint_seconds=0)
    torch.manual_seed(12345)  # dropout must not depend on this
    history = run(resumed, epochs=4, folder=tmp_path, checkpoint_seconds=0)
    assert_same(weights(whole), weights(resumed))
    assert without_seconds(history) == without_seconds(expected)
    assert history.best_epoch == expected.best_epoch


def test_a_sparse_checkpoint_gives_the_same_bits(tmp_path):
    whole, resumed = Denoising(), Denoising()
    run(whole, epochs=4)
    interrupted_after(1, tmp_path, 4, checkpoint_seconds=0)
    interrupted_after(3, tmp_path, 4, checkpoint_seconds=1e9)  # epochs 1 and 2 are lost
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0000"]
    run(resumed, epochs=4, folder=tmp_path, checkpoint_seconds=1e9)
    assert_same(weights(whole), weights(resumed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0000", "epoch_0003"]


def test_a_run_goes_on_with_the_optimiser_of_its_own_device():
    """A checkpoint of a GPU, with one fused kernel, is resumed by the plain steps, and the other way round."""
    made = {fused: torch.optim.Adam([nn.Parameter(torch.ones(2))], lr=0.1, fused=fused) for fused in (True, None)}
    for saved, other in ((True, None), (None, True)):
        restore_optimizer(made[other], made[saved].state_dict())
        assert made[other].param_groups[0]["fused"] is other
    for where, fused in (("cpu", True), ("meta", None)):
        assert adam([nn.Parameter(torch.ones(2, device=where))], lr=0.1).param_groups[0]["fused"] is fused


def test_a_finished_run_is_loaded_not_trained(tmp_path):
    first, second = Denoising(), Denoising()
    history = run(first, folder=tmp_path)
    second.loss = second.validate = second.begin_epoch = None  # whatever calls them fails
    assert run(second, folder=tmp_path) == history
    assert_same(weights(first), weights(second))
    assert not second.modules.training


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, r"seed \(0, now 1\)"),
        ({"batch_size": 5}, r"loop.batch_size \(4, now 5\)"),
        ({"epochs": 4}, r"loop.epochs \(3, now 4\)"),
        ({"images": IMAGES[:-1]}, "other images"),
        ({"images": 255 - IMAGES}, "other images"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, change, words):
    run(Denoising(), folder=tmp_path)
    with pytest.raises(SettingsError, match=words):
        run(Denoising(), folder=tmp_path, **change)
    with pytest.raises(SettingsError, match="optimizers"):
        run(Denoising(lr=0.5), folder=tmp_path)
    with pytest.raises(SettingsError, match="weights"):
        run(Denoising(lambda: nn.Conv2d(1, 1, 1)), folder=tmp_path)


def test_disk_full_leaves_the_last_checkpoint_and_says_so(tmp_path, monkeypatch):
    interrupted_after(2, tmp_path, 4, checkpoint_seconds=0)
    original = Path.write_bytes

    def full(path, data):
        original(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoredFileError, match="No space left"):
            run(Denoising(), epochs=4, folder=tmp_path, checkpoint_seconds=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_0000", "epoch_0001"]
    whole, resumed = Denoising(), Denoising()
    run(whole, epochs=4)
    run(resumed, epochs=4, folder=tmp_path)
    assert_same(weights(whole), weights(resumed))


def test_images_are_read_batch_by_batch():
    class OnDisk:
        """Stands for a memory map and notes how much is read at once."""

        shape, dtype, nbytes, most = IMAGES.shape, IMAGES.dtype, IMAGES.nbytes, 0

        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, index):
            part = IMAGES[index]
            self.most = max(self.most, part.size // IMAGES[0].size)
            return part

        def __array__(self, *_, **__):
            raise AssertionError("read whole")

    images = OnDisk()
    run(Denoising(), images=images, epochs=1)
    assert images.most == 4


# ---- kills and several processes: subprocesses of this file ------------------------------------------------------

EPOCHS = 12


def train_for_kills(folder, slow):
    objective = Denoising(slow=slow)
    history = run(objective, epochs=EPOCHS, folder=folder, checkpoint_seconds=0)
    np.savez(Path(folder).with_suffix(".npz"), best_epoch=history.best_epoch, **weights(objective))


def kill_again_and_again(folder):
    """Fork children that train; kill them at random moments, twice while they write, until one comes through."""
    torch.set_num_threads(1)
    random = np.random.default_rng(7)
    kills = 0
    for attempt in range(9):
        child = os.fork()
        if child == 0:
            train_for_kills(folder, slow=0.02)
            os._exit(0)
        until = time.monotonic() + (random.uniform(0.2, 0.7) if attempt < 8 else 120)
        writing = attempt in (2, 5)
        while time.monotonic() < until and os.waitpid(child, os.WNOHANG) == (0, 0):
            if writing and time.monotonic() > until - 0.2 and any(folder.glob(".epoch_*")):
                break
            time.sleep(0.0005)
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
        except (ProcessLookupError, ChildProcessError):  # it came through
            break
    print(f"kills={kills}")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    (tmp_path / "killed").mkdir()
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], env=os.environ | variables, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split("kills=")[1]) >= 4
    with np.load(tmp_path / "killed.npz") as killed, np.load(tmp_path / "whole.npz") as whole:
        assert_same(dict(killed), dict(whole))
    last = f"epoch_{EPOCHS - 1:04d}/state.json"
    killed, whole = (json.loads((tmp_path / name / last).read_text()) for name in ("killed", "whole"))
    assert killed["digests"] == whole["digests"]  # current weights, best weights and optimiser states, to the bit
    assert [row["val_loss"] for row in killed["history"]] == [row["val_loss"] for row in whole["history"]]
    assert not list((tmp_path / "killed").glob(".*"))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    kill_again_and_again(place / "killed")
    torch.set_num_threads(1)
    train_for_kills(place / "whole", slow=0.0)
