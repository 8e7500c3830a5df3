"""Detectors that are ready to use: as `novkit reproduce` trains them on the embedded data."""

from dataclasses import asdict
from pathlib import Path

from novkit.data.cache import cache_folder
from novkit.detector import Detector
from novkit.errors import SettingsError, StoredFileError
from novkit.experiments.jobs import build_setups, load_for
from novkit.experiments.plans import reproduction
from novkit.methods import load_detector, make_detector
from novkit.seeding import RESERVED_SEEDS

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = ("results/reference", "results/quick")  # in the project, where `reproduce` leaves its detectors


def ready_detector(method: str, dataset: str = "brain", *, device: str = "auto", progress: bool = True) -> Detector:
    """A detector of the quick profile, trained on the normal images of "brain" or "skin" made from the first reserved seed.

    The one stored with the project's results, or with your own run of `novkit reproduce`; where neither is there, it is trained now,
    in minutes, and kept in the cache. Try it on images of another seed: those it has not seen.
    Raises SettingsError for a method or data set that `novkit reproduce` does not run.
    """
    jobs = [job for job in reproduction("quick", RESERVED_SEEDS[:1]) if (job.method, job.dataset) == (method, dataset)]
    if not jobs:
        raise SettingsError(f"novkit reproduce does not run {method!r} on {dataset!r}: choose brain or skin, and one of its methods.")
    job = jobs[0]
    wanted = make_detector(method, job.profile, seed=job.seed, device=device, progress=progress)
    kept = cache_folder() / "detectors" / job.name
    for folder in (*(PROJECT / results / "detectors" / job.name for results in RESULTS), kept):
        try:
            found = load_detector(folder, device=device)
        except StoredFileError:
            continue  # missing, or damaged: the next one, or a new one
        if asdict(found.settings) == asdict(wanted.settings):
            return found
    setup = build_setups(job, load_for(job, progress=progress))[0]
    wanted.set_params(workdir=kept.with_name(f"{kept.name}-checkpoints"))
    wanted.fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
    wanted.save(kept)
    wanted.discard_checkpoints()
    return wanted
