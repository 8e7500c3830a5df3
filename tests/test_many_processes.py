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
    "tend": ["epochs_autoencoder=2", "epochs=4", "warmup=2", "width=4", "embedding=16", "least_steps=1"],
}

ROUNDING = {"autoencoder": 1e-3, "tend": 0.05, "patchgan": 0.05}
"""How far scores may move, in units of their range: two processes add up in another order than one, which training magnifies."""


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
    scores = [detector.novelty_score(setup.X_test) for detector in (one, two)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=0, atol=ROUNDING[method] * np.ptp(scores[0]))
    assert two.threshold_ == pytest.approx(one.threshold_, abs=ROUNDING[method] * np.ptp(scores[0]))
    assert aurocs[1] == pytest.approx(aurocs[0], abs=ROUNDING[method])
