"""Why TEND finds some lesions and misses others: shape and brightness, edited one at a time.

python results/explain_lesions.py results/quick --seed 100     (after `novkit reproduce`)

Each healthy test image of `brain` is edited inside one soft disc, either in brightness alone or in shape alone (a pinch), and scored by the
stored detectors of that seed. AUROC of edited against unedited, both passed through the same sub-pixel warp. Healthy images only: no label
of a condition is used.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.distortions.resampling import near_identity, pixel_centres, resample
from novkit.evaluation import auroc
from novkit.experiments import BRAIN_HEALTHY
from novkit.images import to_tensor
from novkit.methods import load_detector
from novkit.seeding import torch_generator

METHODS = ("tend", "autoencoder", "pixel_zscore")


def discs(n: int, side: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Soft discs inside the brain: weight (n, 1, side, side), offset from the centre (n, 2, side, side), radius; in pixels."""
    centre = side * (0.35 + 0.3 * torch.rand(n, 2, 1, 1, generator=generator))
    radius = side * (0.10 + 0.06 * torch.rand(n, 1, 1, 1, generator=generator))
    offset = pixel_centres(side, side, torch.device("cpu")) - centre
    inside = (offset / radius).square().sum(dim=1, keepdim=True)
    return (1 - inside).clamp_min(0).square(), offset, radius


def brighter(x: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Brightness alone: up to `amount` × the image's own brain brightness is added, no pixel moves."""
    weight, _, _ = discs(len(x), x.shape[-1], generator)
    level = x.flatten(1).quantile(0.75, dim=1).view(-1, 1, 1, 1)
    return (near_identity(x, generator) + amount * level * weight).clamp(0, 1)


def pinched(x: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Shape alone: tissue is pushed away from the disc's centre by up to about `amount` radii, no brightness is added."""
    weight, offset, _ = discs(len(x), x.shape[-1], generator)
    side = x.shape[-1]
    points = pixel_centres(side, side, torch.device("cpu")) - amount * weight * offset
    return near_identity(resample(x, points), generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=100)
    arguments = parser.parse_args()
    data = load("brain", seed=arguments.seed, n_healthy=BRAIN_HEALTHY, progress=False)
    setup = one_vs_rest(data, "healthy", seed=arguments.seed, novel="glioma")
    x = to_tensor(setup.X_test[setup.y_test == 0])
    detectors = {
        m: load_detector(arguments.folder / "detectors" / f"brain-healthy-{m}-seed{arguments.seed}", device="cpu") for m in METHODS
    }
    plain = near_identity(x, torch_generator(arguments.seed, "plain")).clamp(0, 1).numpy()
    reference = {name: detector.novelty_score(plain) for name, detector in detectors.items()}
    print(f"AUROC of edited against unedited healthy slices, seed {arguments.seed}, {len(x)} images each")
    print(f"{'edit':<12} {'amount':>6}  " + "  ".join(f"{name:>12}" for name in detectors))
    for edit, amounts in ((brighter, (0.15, 0.3, 0.6)), (pinched, (0.3, 0.6, 0.9))):
        for amount in amounts:
            edited = edit(x, amount, torch_generator(arguments.seed, edit.__name__)).clamp(0, 1).numpy()
            y = np.repeat([0, 1], len(x))
            values = [auroc(y, np.concatenate([reference[name], detector.novelty_score(edited)])) for name, detector in detectors.items()]
            print(f"{edit.__name__:<12} {amount:>6}  " + "  ".join(f"{value:>12.3f}" for value in values))


if __name__ == "__main__":
    main()
