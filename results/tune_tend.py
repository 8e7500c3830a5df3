"""The settings of TEND that were compared before any result was reported, on development seeds of `brain`.

python results/tune_tend.py --seed 0 --variant "windows 0.8"     (no --variant: all of them, about half an hour on one core)

Only generated out-of-distribution images of development seeds are looked at: no condition, no reserved seed.
"""

import argparse
import time

from novkit.data import load
from novkit.data.setups import generated_ood
from novkit.distortions.training import TrainingFamily
from novkit.evaluation import auroc
from novkit.methods import make_detector
from novkit.seeding import DEVELOPMENT_SEEDS

WHOLE = TrainingFamily(local=0.0, weakest=0.15)
OLD = {"width": 16, "batch_norm": False, "epochs_autoencoder": 8, "batch_size": 64, "margin_weight": 1.0, "family": WHOLE}
NARROW = OLD | {"width": 8, "batch_size": 32, "margin_weight": 1 / 150, "epochs": 25, "warmup": 5}

VARIANTS: dict[str, tuple[int, dict]] = {  # name -> healthy images, changes to the quick preset, in the order they were tried
    "published shape, R against 1": (2400, OLD),
    "margin / R": (2400, OLD | {"margin_weight": 1 / 150, "epochs": 20}),
    "batches of 32, longer warm-up": (2400, OLD | {"margin_weight": 1 / 150, "epochs": 20, "batch_size": 32, "warmup": 8}),
    "half the width, 50 epochs": (2400, NARROW | {"epochs": 50, "warmup": 10}),
    "half the strength": (2400, NARROW | {"family": TrainingFamily(local=0.0, weakest=0.15, strength=0.5)}),
    "twice the subjects": (4800, NARROW),
    "bending kinds only": (
        2400,
        NARROW | {"family": TrainingFamily(kinds=("barrel", "perspective", "polar", "arc"), local=0.0, weakest=0.15)},
    ),
    "no margin": (2400, NARROW | {"margin_weight": 0.0}),
    "windows 0.7": (2400, NARROW | {"epochs": 30, "family": TrainingFamily(local=0.7, weakest=0.4)}),
    "windows 0.7, twice the width": (2400, NARROW | {"width": 16, "epochs": 20, "family": TrainingFamily(local=0.7, weakest=0.4)}),
    "batch normalisation": (2400, NARROW | {"batch_norm": True}),
    "both": (2400, NARROW | {"batch_norm": True, "family": TrainingFamily(local=0.7, weakest=0.4)}),
    "both, twice the subjects": (4800, {"family": TrainingFamily(local=0.7, weakest=0.4)}),
    "windows 1.0": (4800, {"family": TrainingFamily(local=1.0, weakest=0.5)}),
    "windows 0.8": (4800, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, choices=DEVELOPMENT_SEEDS)
    parser.add_argument("--variant", choices=VARIANTS, action="append")
    arguments = parser.parse_args()
    for name in arguments.variant or VARIANTS:
        n_healthy, changes = VARIANTS[name]
        setup = generated_ood(load("brain", seed=arguments.seed, n_healthy=n_healthy, progress=False), "healthy", seed=arguments.seed)
        start = time.perf_counter()
        detector = make_detector("tend", changes=changes, seed=arguments.seed)
        detector.fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
        value = auroc(setup.y_test, detector.novelty_score(setup.X_test))
        print(f"{name:<32} AUROC {value:.3f}  {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
