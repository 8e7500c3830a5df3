"""LGG FLAIR slices at 128×128, every method: written and committed before any method was scored on it.

    NOVKIT_REAL_DATA=<folder with lgg_flair_mri> python results/lgg_128.py --seeds 1

Settings: the quick profile as it was tuned on `brain`. What differs is the length, because 490 slices make fewer steps an epoch than
2880: every trained method sees about 21 500 images (Patch-GAN 44 epochs of 490; the others 34 of 640, their least number of steps).
Slices come from one range of their stacks and are split by patient.
"""

import argparse
import os
from pathlib import Path

from novkit.experiments import REPRODUCED, Job, run_jobs
from novkit.report import write_report
from novkit.seeding import RESERVED_SEEDS

MATCHED = "0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)"
LONGER = {
    "patchgan": {"epochs": 44},
    "tend": {"epochs_autoencoder": 8, "epochs": 26, "warmup": 5},
    "deep_svdd": {"epochs": 34, "epochs_autoencoder": 16, "warmup": 3},
    **{method: {"epochs": 34} for method in ("autoencoder", "vae", "alocc", "ocsvm", "patch_knn")},
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    seeds = RESERVED_SEEDS[: parser.parse_args().seeds]
    folder = Path(__file__).parent / "lgg_flair_mri_128"
    jobs = [
        Job(
            method=method,
            dataset=str(Path(os.environ["NOVKIT_REAL_DATA"]) / "lgg_flair_mri"),
            normal=("normal",),
            cases=(("one_vs_rest", ("tumor",)),),
            seed=seed,
            options={"size": 128, "where": MATCHED},
            changes=LONGER.get(method, {}),
        )
        for seed in seeds
        for method in REPRODUCED
    ]
    run_jobs(jobs, folder, workers=None)
    print(write_report(folder, command=f"python results/lgg_128.py --seeds {len(seeds)}"))
