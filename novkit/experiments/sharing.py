"""Jobs that begin with the same training do it once."""

import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from novkit.baselines.autoencoder import AutoencoderSettings
from novkit.experiments.jobs import Job
from novkit.files import read_json, replacing_folder, write_json
from novkit.methods import make_detector

HEIRS = ("patch_knn",)
"""Methods whose first stage is the autoencoder baseline itself; Deep SVDD's has no biases, and the one-class SVM takes components."""

_PART, _GIVEN = "autoencoder", "given.json"


def heirs_of(job: Job, jobs: Sequence[Job]) -> tuple[str, ...]:
    """Names of those among `jobs` that train the same autoencoder as `job`, an autoencoder baseline: same data, seed and settings."""
    if job.method != "autoencoder":
        return ()
    return tuple(other.name for other in jobs if other.method in HEIRS and _training(other) == _training(job))


def _training(job: Job) -> tuple:
    settings = make_detector(job.method, job.profile, changes=job.changes).settings
    stage = tuple(getattr(settings, field.name) for field in fields(AutoencoderSettings))
    return job.data_key, job.normal, job.cases, job.seed, stage


def hand_on(folder: Path, giver: str, heirs: Sequence[str]) -> None:
    """Copy the finished checkpoint of `giver` to each heir that has none yet, with the seconds it took."""
    trained = folder / "work" / giver / _PART
    for heir in heirs:
        own = folder / "work" / heir
        epochs = sorted(trained.glob("epoch_*"), key=lambda path: int(path.name.removeprefix("epoch_")))
        if own.exists() or not epochs:
            continue  # it has begun by itself
        last = epochs[-1]
        with replacing_folder(own) as temporary:
            shutil.copytree(last, temporary / _PART / last.name)
            history = read_json(last / "state.json", "checkpoint")["history"]
            write_json(temporary / _GIVEN, {"seconds": sum(epoch["seconds"] for epoch in history)})


def given_seconds(folder: Path, name: str) -> float:
    """What the training handed on to a job took; 0 where there was none."""
    path = folder / "work" / name / _GIVEN
    return float(read_json(path, "training handed on")["seconds"]) if path.exists() else 0.0
