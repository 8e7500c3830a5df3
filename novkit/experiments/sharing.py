"""Jobs that begin with the same training do it once."""

import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from novkit.baselines.autoencoder import AutoencoderSettings
from novkit.experiments.cost import Cost
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


def hand_on(folder: Path, giver: str, heirs: Sequence[str], megabytes: float) -> None:
    """Copy the finished checkpoints of `giver`, one an attempt, to each heir that has none yet, with what they took."""
    work = folder / "work"
    last = {part.name: max(part.glob("epoch_*"), key=_number) for part in (work / giver).glob(f"{_PART}*") if any(part.glob("epoch_*"))}
    for heir in heirs:
        own = work / heir
        if own.exists() or not last:
            continue  # it has begun by itself, in a run before this one
        with replacing_folder(own) as temporary:
            seconds = 0.0
            for part, checkpoint in last.items():
                shutil.copytree(checkpoint, temporary / part / checkpoint.name)
                seconds += sum(epoch["seconds"] for epoch in read_json(checkpoint / "state.json", "checkpoint")["history"])
            write_json(temporary / _GIVEN, {"seconds": seconds, "megabytes": megabytes})


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("epoch_"))


def given_cost(folder: Path, name: str) -> Cost:
    """What the training handed on to a job took; nothing where there was none."""
    path = folder / "work" / name / _GIVEN
    return Cost(**read_json(path, "training handed on")) if path.exists() else Cost()
