"""What is timed: transformations, training steps, scoring and data generation, each with the images it handles a call."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.timing import Timing, counted, timed
from novkit.batching import Step
from novkit.distortions import distort, near_identity
from novkit.images import to_tensor
from novkit.memory import memory_kept
from novkit.methods import make_detector
from novkit.patchgan.detector import PatchGan
from novkit.patchgan.objectives import MaskedRestoration
from novkit.patchgan.settings import PatchGanSettings
from novkit.seeding import numpy_generator, torch_generator
from novkit.tend.networks import MarginNetwork, autoencoder_for
from novkit.tend.objectives import MarginLearning, Reconstruction
from novkit.tend.settings import TendSettings
from novkit.training import LoopSettings, Objective, train

EPOCHS, UNCOUNTED = 7, 2
COMPILED = ", compiled transformations"


@dataclass(frozen=True)
class Measured:
    """A case's timing a call, the images of a call, and what one call computes and moves (0: not counted)."""

    timing: Timing
    images: int
    operations: int = 0
    bytes: int = 0


def some_images(n: int, size: int, channels: int = 1) -> np.ndarray:
    """(n, channels, size, size) uint8: noise, which costs what pictures cost."""
    return numpy_generator(0, "benchmark").integers(0, 256, (n, channels, size, size), dtype=np.uint8)


# ---- training steps --------------------------------------------------------------------------------------------------


def steps_of(device: torch.device, batch: int) -> int:
    """Steps of an epoch: on a GPU so many that its beginning and its end, when losses are read and two images validated, count little."""
    return max(40, 12_800 // batch) if device.type == "cuda" else 6


def training(
    make: Callable[[], Objective], device: torch.device, size: int, batch: int, counted_as: Callable[[], Objective] | None = None
) -> Measured:
    """Whole steps of novkit's own loop: batches, transformation or masks, losses, gradients, optimisers; one call is one step.

    counted_as: makes an objective whose operations are counted instead, where those of `make` are compiled and none can be seen.
    """
    seconds = epochs(make, device, size, batch)[UNCOUNTED:]
    few = min(batch, 32)  # a large batch need not fit into the memory of the processor that counts
    operations, moved = _of_one_step((counted_as or make)(), some_images(few, size))
    return Measured(Timing(tuple(seconds)), batch, operations * batch // few, moved * batch // few)


def epochs(make: Callable[[], Objective], device: torch.device, size: int, batch: int) -> list[float]:
    """Seconds a step in each of EPOCHS epochs."""
    steps = steps_of(device, batch)
    images = some_images(min(steps, 8) * batch, size)  # gone through several times where there are more steps
    settings = LoopSettings(epochs=EPOCHS, batch_size=batch, least_steps=steps)
    history = train(make(), images, images[:2], settings, seed=0, device=device, progress=False)
    return [row["seconds"] / row["steps"] for row in history.epochs]


def _of_one_step(objective: Objective, images: np.ndarray) -> tuple[int, int]:
    """Operations and bytes of losses and gradients on a CPU; the optimiser's few are left out."""
    x, step = to_tensor(images), Step(0, objective.settings.warmup if hasattr(objective.settings, "warmup") else 0, 0, torch.device("cpu"))
    optimizers = objective.optimizers()

    def losses() -> None:
        for name, optimizer in optimizers.items():
            optimizer.zero_grad()
            objective.loss(name, x, step)["loss"].backward()

    return counted(losses)


def tend_stage_1(settings: TendSettings, size: int) -> Objective:
    return Reconstruction(autoencoder_for((1, size, size), settings.width, settings.batch_norm), lr=1e-3, weight_decay=1e-6)


def tend_stage_2(settings: TendSettings, size: int) -> Objective:
    """After warm-up: both terms of the loss."""
    network = MarginNetwork(autoencoder_for((1, size, size), settings.width, settings.batch_norm), settings.embedding, settings.batch_norm)
    return MarginLearning(network, settings, seed=0)


def networks_alone(settings: TendSettings, size: int) -> Objective:
    """Stage 2 whose x and T(x) are there already: of compiled transformations, which move a few bytes a pixel, nothing is counted."""
    objective = tend_stage_2(settings, size)
    objective.pair = lambda images, step: (images, images)  # type: ignore[attr-defined]
    return objective


def patchgan(settings: PatchGanSettings, size: int) -> Objective:
    detector = PatchGan(settings)
    detector.settings_, detector.image_shape_ = settings, (1, size, size)
    detector._build()
    return MaskedRestoration(detector.reconstructor_, detector.discriminator_, detector.grid_, settings)


# ---- transformations, scoring, data ----------------------------------------------------------------------------------


def transforming(device: torch.device, size: int, batch: int, call: Callable[[Tensor, torch.Generator], Any]) -> Measured:
    """One call transforms a batch that lies on the device; what is counted is a CPU's, which does the same in as many operations."""
    x = to_tensor(some_images(batch, size))
    here = x.to(device)
    with memory_kept():  # as in training
        timing = timed(lambda: call(here, torch_generator(0, "benchmark")), device)
    return Measured(timing, batch, *counted(lambda: call(x, torch_generator(0, "benchmark"))))


def scoring(device: torch.device, method: str, size: int, n: int) -> Measured:
    """One call scores n images with a detector whose weights are untrained but for one epoch."""
    short = {"epochs": 2, "epochs_autoencoder": 1, "warmup": 1} if method == "tend" else {"epochs": 1}
    images = some_images(n, size)
    detector = make_detector(method, changes=short, seed=0, device=str(device), progress=False).fit(images[:64], images[64:96])

    for part in vars(detector).values():
        if isinstance(part, nn.Module):
            part.requires_grad_(False)  # what counts operations would look for the gradients' graph

    def once() -> None:
        detector.novelty_score(images)

    return Measured(timed(once, device), n, *counted(once))


def generating(name: str, n: int) -> Measured:
    """One call draws n images of 64×64; on the CPU, wherever networks run."""
    from novkit.data.brain import generate_brain
    from novkit.data.skin import generate_skin

    drawn = {
        "brain": lambda: generate_brain(n_healthy=n, n_novel=4, conditions=("healthy",), seed=0, progress=False),
        "skin": lambda: generate_skin(n_benign=n, n_atypical=4, seed=0, progress=False),
    }[name]
    return Measured(timed(drawn, repeats=5, warm=1), n)


def steps_of_training(device: torch.device) -> dict[str, tuple[Callable[[], Objective], int, int]]:
    """Every training step that is timed: what is trained, the side of its images, their number."""
    quick, published = TendSettings.quick(warmup=0, epochs=EPOCHS), TendSettings(warmup=0, epochs=EPOCHS)
    found: dict[str, tuple[Callable[[], Objective], int, int]] = {
        "TEND stage 1 step, quick, 64×64": (lambda: tend_stage_1(quick, 64), 64, 32),
        "TEND stage 2 step, quick, 64×64": (lambda: tend_stage_2(quick, 64), 64, 32),
        "Patch-GAN step, quick, 64×64": (lambda: patchgan(PatchGanSettings.quick(), 64), 64, 16),
        "TEND stage 1 step, published, 256×256": (lambda: tend_stage_1(published, 256), 256, 32),
    }
    for batch in (32, 512) if device.type == "cuda" else (32,):
        name = f"TEND stage 2 step, published, 256×256, batch {batch}"
        found[name] = (lambda: tend_stage_2(published, 256), 256, batch)
        found[name + COMPILED] = (lambda: tend_stage_2(replace(published, compiled=True), 256), 256, batch)
    return found


def cases(device: torch.device) -> dict[str, Callable[[], Measured]]:
    """Every case by its name; nothing is measured before it is called."""
    large, largest = (256, 512) if device.type == "cuda" else (64, 256)
    steps, alone = steps_of_training(device), partial(networks_alone, TendSettings(warmup=0, epochs=EPOCHS), 256)
    return {
        "default transformations, 256×256": lambda: transforming(device, 256, 32, distort),
        "sub-pixel warp, 256×256": lambda: transforming(device, 256, 32, near_identity),
        **{
            name: partial(training, make, device, size, batch, alone if name.endswith(COMPILED) else None)
            for name, (make, size, batch) in steps.items()
        },
        "TEND scoring, quick, 64×64": lambda: scoring(device, "tend", 64, 4 * largest),
        "Autoencoder scoring, quick, 64×64": lambda: scoring(device, "autoencoder", 64, 4 * largest),
        "Patch-GAN scoring, quick, 64×64": lambda: scoring(device, "patchgan", 64, 2 * large),
        "brain generation, 64×64": lambda: generating("brain", 100),
        "skin generation, 64×64": lambda: generating("skin", 100),
    }
