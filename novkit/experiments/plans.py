"""What `novkit reproduce` runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from novkit.data.setups import other_labels
from novkit.data.splits import check_labels
from novkit.experiments.jobs import Job, load_for
from novkit.seeding import RESERVED_SEEDS

COSTLIEST = ("patchgan", "alocc", "tend", "autoencoder", "vae", "patch_knn", "deep_svdd", "ocsvm")
"""Methods in order of their time, so that the longest do not start last, but the autoencoder before what begins with it; the rest take
seconds."""

SETTINGS_TRIED = {
    "tend": 15,
    "patchgan": 15,
    "autoencoder": 4,
    "vae": 1,
    "alocc": 2,
    "ocsvm": 1,
    "deep_svdd": 1,
    "patch_knn": 8,
    "pixel_zscore": 1,
    "statistic": 1,
    "statistic_oracle": 1,
}
"""How many settings of each method were trained and compared on development seeds before any result was reported: results/NOTES.md."""

REPRODUCED = (
    "tend",
    "patchgan",
    "autoencoder",
    "vae",
    "alocc",
    "ocsvm",
    "deep_svdd",
    "patch_knn",
    "pixel_zscore",
    "statistic",
    "statistic_oracle",
)
IN_SECONDS = ("tend", "autoencoder", "ocsvm", "pixel_zscore", "statistic", "statistic_oracle")
"""The methods that are also run on the digits, of 8×8 pixels: too small for patches."""

BRAIN_CONDITIONS = ("glioma", "ms", "infarct", "haemorrhage", "ventricles")
BRAIN_HEALTHY = 4800  # images, of 1200 subjects
DIGITS = ("0", "1", "8")  # [O] three one-vs-rest tasks on real data that take seconds


def reproduction(profile: str = "quick", seeds: Sequence[int] = RESERVED_SEEDS[:1], methods: Sequence[str] = REPRODUCED) -> list[Job]:
    """Every run of the quick or paper profile on the embedded data."""
    size = {"quick": 64, "paper": 256}[profile]
    brain = (*(("one_vs_rest", (condition,)) for condition in BRAIN_CONDITIONS), ("generated_ood", ()))
    skin = (("one_vs_rest", ("atypical",)), ("generated_ood", ()))
    small = [method for method in methods if method in IN_SECONDS]
    jobs = []
    for seed in seeds:
        common: dict[str, Any] = {"seed": seed, "profile": profile}
        options = {"size": size, "n_healthy": BRAIN_HEALTHY}
        jobs += [Job(method=m, dataset="brain", normal=("healthy",), cases=brain, options=options, **common) for m in methods]
        jobs += [Job(method=m, dataset="skin", normal=("benign",), cases=skin, options={"size": size}, **common) for m in methods]
        for digit in DIGITS:
            jobs += [Job(method=m, dataset="digits", normal=(digit,), cases=(("one_vs_rest", ()),), **common) for m in small]
    return jobs


def reproduction_on(
    path: str | Path,
    normal: Sequence[str],
    novel: Sequence[str],
    *,
    profile: str = "quick",
    seeds: Sequence[int] = RESERVED_SEEDS[:1],
    methods: Sequence[str] = REPRODUCED,
    options: dict[str, Any] | None = None,
    data_note: str = "",
) -> list[Job]:
    """The same on one's own images: the classes `novel` against the classes `normal`, and generated OOD.

    Without normal classes all classes but the novel ones are normal, for which the data are loaded: with one novel class that is
    rest-vs-one, else one-vs-rest, as it is with normal classes. options, data_note: as in Job.
    Raises DataError for a novel class that is not there.
    """
    common: dict[str, Any] = {"dataset": str(path), "profile": profile, "options": dict(options or {}), "data_note": data_note}
    kind = "one_vs_rest"
    if not normal:
        kind = "rest_vs_one" if len(novel) == 1 else kind
        dataset = load_for(Job(method=methods[0], normal=(), cases=(), seed=seeds[0], **common))
        check_labels(dataset, novel)
        normal = other_labels(dataset, novel)
    cases = ((kind, tuple(novel)), ("generated_ood", ()))
    return [Job(method=m, normal=tuple(normal), cases=cases, seed=s, **common) for s in seeds for m in methods]
