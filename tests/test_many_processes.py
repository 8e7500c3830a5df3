"""`novkit train` started as two processes gives the split, the losses and the metrics of one, at the same global batch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.methods import load_detector

SMALL = {
    "autoencoder": ["epochs=3", "width=4", "latent=8", "least_steps=1"],
    "patchgan": ["epochs=2", "width=4", "discriminator_width=4"],
    "tend": ["epochs_autoencoder=2", "epochs=4", "warmup=2", "width=4", "embedding=16", "least_steps=1", "batch_norm=false"],
}
BATCH_STATISTICS = ("patchgan",)  # of each process's share: trained alike, not to the same numbers


def train(method: str, out: Path, *launcher: str) -> None:
    command = [sys.executable, *launcher, "-m", "novkit", "train", method, "--out", str(out), "--data", "digits", "--normal", "0"]
    command += ["--device", "cpu", *(word for setting in SMALL[method] for word in ("--setting", setting))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, cwd=Path(__file__).parent.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("saved in") == 1  # one process speaks for all


TWO = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    "accelerate": [
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("method", SMALL)
def test_two_processes_train_what_one_trains(method, tmp_path):
    train(method, tmp_path / "one")
    train(method, tmp_path / "two", "-m", *TWO["accelerate" if method == "autoencoder" else "torchrun"])
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
    one, two = (load_detector(tmp_path / name) for name in ("one", "two"))
    setup = one_vs_rest(load("digits"), "0", seed=0)
    aurocs = [roc_auc_score(setup.y_test, detector.novelty_score(setup.X_test)) for detector in (one, two)]
    exact = method not in BATCH_STATISTICS
    if exact:  # what is drawn for an image is the same in whichever process it is: the same numbers to rounding
        np.testing.assert_allclose(two.novelty_score(setup.X_test), one.novelty_score(setup.X_test), rtol=1e-3)
        assert two.threshold_ == pytest.approx(one.threshold_, rel=1e-3)
    assert aurocs[1] == pytest.approx(aurocs[0], abs=1e-3 if exact else 0.1)
