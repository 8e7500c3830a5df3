"""The training loop: one for every method, on any device, resumed bit for bit after a kill."""

import math
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from novkit.batch_norm import shared_batch_norm
from novkit.batching import Batches
from novkit.batching import Step as Step
from novkit.checkpoints import Checkpoint, CheckpointFolder, fingerprint, restore_optimizer
from novkit.devices import IMPLEMENTATION, own_accelerator, own_random_state
from novkit.errors import SettingsError, TrainingError
from novkit.images import retried
from novkit.memory import memory_kept
from novkit.processes import add_gradients, check_alike, first_finds, share_state
from novkit.progress import progress_bar, say


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How long and in which portions.

    batch_size: images a step, over all processes together. gradient_clip: largest norm of one optimiser's gradient.
    precision: "no" (float32), "bf16" (CUDA only), "auto" (bf16 where the GPU computes in it, else float32).
    least_steps: of an epoch; a small set is gone through several times to reach them, so that an epoch means the same learning everywhere.
    checkpoint_seconds: a checkpoint is written at the first end of an epoch this long after the last one, and at the end.
    Raises SettingsError unless epochs, batch_size, least_steps ≥ 1 and gradient_clip > 0 (or None), and for another precision.
    """

    epochs: int
    batch_size: int
    gradient_clip: float | None = None
    precision: str = "auto"
    least_steps: int = 1
    checkpoint_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.least_steps < 1:
            raise SettingsError(
                f"epochs is {self.epochs}, batch_size {self.batch_size}, least_steps {self.least_steps}: all must be at least 1."
            )
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise SettingsError(f"gradient_clip is {self.gradient_clip}: choose a norm above 0, or None.")
        if self.precision not in ("auto", "no", "bf16"):
            raise SettingsError(f"precision is {self.precision!r}: choose auto, no or bf16.")


class Objective(ABC):
    """What is learnt: networks, their optimisers and the losses.

    modules: all weights and persistent buffers; the loop places, stores and restores them.
    settings: the method's settings, so that a checkpoint made under others is refused. Optional.
    """

    modules: nn.ModuleDict
    settings: Any = None

    @abstractmethod
    def optimizers(self) -> dict[str, Optimizer]:
        """New optimisers by name, over `modules`; called once, when the modules are on their device."""

    @abstractmethod
    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        """Scalars for a batch (n, channels, height, width), float32 in [0, 1]: optimizer `optimizer` lowers "loss", the rest is recorded.

        Called for each optimiser in turn, every step; only the weights of that optimiser get a gradient.
        """

    @abstractmethod
    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        """Values on held-out images, in evaluation mode and without gradients; lowest "loss" = best epoch of its phase.

        Random draws that should be the same in every epoch come from `torch_generator(step.seed, …)`.
        """

    def begin_epoch(self, epoch: int, images: np.ndarray, step: Step) -> None:  # noqa: B027
        """Hook before each epoch, in evaluation mode and without gradients: to set a centre, say. `images`: those trained on."""

    def phase(self, epoch: int) -> str:
        """Epochs with the same name compete for the best weights; those of the last phase are kept."""
        return "training"


@dataclass(frozen=True)
class History:
    """epochs: for each epoch {"epoch", "phase", training means, "val_…" values, "steps", "images" (seen), "seconds", "best"
    (so far, in its phase)}, JSON-able.

    best_epoch: the epoch whose weights the modules hold, counted from 0.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0


@memory_kept()
def train(
    objective: Objective,
    images: np.ndarray,
    val_images: np.ndarray,
    settings: LoopSettings,
    *,
    seed: int,
    device: str | torch.device = "auto",
    folder: str | Path | None = None,
    progress: bool = True,
    label: str = "",
) -> History:
    """Train `objective` on `images`; afterwards its modules hold the best weights of the last phase, in evaluation mode.

    images, val_images: (n, channels, height, width), uint8, uint16 or float32 in [0, 1]; memory maps are read batch by batch.
    device: "auto", "cpu", "cuda", "mps". Under `accelerate launch` every process takes its share of each batch.
    folder: checkpoints go there; a run that was killed goes on from the last one, a finished one is loaded. None keeps nothing.
    On a CPU, and with the same number of threads, a resumed run ends with the same bits as an undisturbed one.
    Raises TrainingError if a loss is not finite, SettingsError if `folder` belongs to another run.
    """
    modules = objective.modules
    with (
        own_accelerator(device, settings.precision) as accelerator,
        own_random_state(accelerator.device),
        shared_batch_norm(modules, accelerator) as any_failed,
    ):
        modules.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions are faster so, on CPUs and GPUs alike
        loss_of = accelerator.prepare_model(_Loss(objective), evaluation_mode=True)  # autocast; we exchange gradients ourselves
        optimizers = objective.optimizers()
        batches = Batches(images, settings.batch_size, accelerator, seed, settings.least_steps)
        batches.any_failed = any_failed
        run = _describe(objective, optimizers, images, val_images, settings, seed)
        checkpoints = None if folder is None else CheckpointFolder(folder, run)
        state = Checkpoint(epoch=-1, best_epoch=-1, best_loss=math.inf, weights={}, best={}, optimizers={}, history=[])
        if checkpoints is not None and (found := checkpoints.read()) is not None:
            state = found
            _restore(state, modules, optimizers, accelerator.device)
        apart = f"Not every process sees the checkpoints in {folder}: put the folder on a disk that all share, or choose a new one."
        check_alike(state.epoch, accelerator, apart)
        together = accelerator.num_processes
        if state.processes != together and -1 < state.epoch < settings.epochs - 1 and accelerator.is_main_process:
            was = f"The number of processes is {together}, and was {state.processes} when {folder} was written"
            say(f"{was}: results agree from here on as far as rounding does, but for what layers such as dropout draw.")
        state.processes = together
        written = time.monotonic()
        bar = progress_bar(
            total=settings.epochs * len(batches),
            initial=(state.epoch + 1) * len(batches),
            desc=label or None,
            unit="step",
            disable=not (progress and accelerator.is_main_process),
        )
        with bar:
            for epoch in range(state.epoch + 1, settings.epochs):
                began = time.monotonic()
                phase = objective.phase(epoch)
                if epoch > 0 and phase != objective.phase(epoch - 1):
                    state.best_loss = math.inf
                before = Step(seed, epoch, -1, accelerator.device)
                row: dict[str, Any] = {"epoch": epoch, "phase": phase}
                row |= _train_epoch(objective, loss_of, optimizers, batches, before, settings.gradient_clip, accelerator, bar)
                row |= _validate(objective, val_images, before, accelerator)
                row |= {"steps": len(batches), "images": batches.used}
                row |= {"seconds": time.monotonic() - began, "best": row["val_loss"] < state.best_loss}
                state.epoch = epoch
                state.history.append(row)
                if row["best"]:
                    state.best_epoch, state.best_loss = epoch, row["val_loss"]
                    state.best = {key: value.detach().clone() for key, value in modules.state_dict().items()}
                bar.set_postfix(val_loss=f"{row['val_loss']:.4g}", best=f"{state.best_loss:.4g}", refresh=False)
                due = time.monotonic() - written >= settings.checkpoint_seconds or epoch == settings.epochs - 1
                if checkpoints is not None:
                    write = partial(_write, checkpoints, state, modules, optimizers, due)
                    written = time.monotonic() if first_finds(write, accelerator) else written
        modules.load_state_dict(state.best)
        modules.eval()
        accelerator.wait_for_everyone()
        return History(state.history, state.best_epoch)


def _train_epoch(
    objective: Objective,
    loss_of: nn.Module,
    optimizers: dict[str, Optimizer],
    batches: Batches,
    before: Step,
    gradient_clip: float | None,
    accelerator: Accelerator,
    bar: Any,
) -> dict[str, float]:
    """One pass over the images; returns each recorded value's mean over them. The device is waited for once, at the end."""
    objective.modules.eval()
    before.seed_layers()
    with torch.no_grad():
        retried(lambda: objective.begin_epoch(before.epoch, batches.images, before))
    share_state(objective.modules, accelerator)
    objective.modules.train()
    weights = {name: [p for group in o.param_groups for p in group["params"] if p.requires_grad] for name, o in optimizers.items()}
    totals: dict[str, Tensor] = {}
    for step, x, share in batches.epoch(before):
        step.seed_layers()
        for name, optimizer in optimizers.items():
            values = _gradients(loss_of, name, optimizer, weights[name], x, step, share, batches, accelerator)
            add_gradients(weights[name], accelerator)
            if gradient_clip is not None:
                accelerator.clip_grad_norm_(weights[name], gradient_clip)
            optimizer.step()
            for key, value in values.items():
                key = key if len(optimizers) == 1 else f"{name}_{key}"
                value = value * len(x)
                totals[key] = totals[key] + value if key in totals else value
        bar.update()
    sums = torch.stack([total.to(accelerator.device) for total in totals.values()])
    means = {key: total / batches.used for key, total in zip(totals, accelerator.reduce(sums).tolist(), strict=True)}
    for key, mean in means.items():
        if not math.isfinite(mean):
            raise TrainingError(f"The training {key} of epoch {before.epoch} is {mean}: lower the learning rate, or set gradient_clip.")
    return means


def _gradients(
    loss_of: nn.Module,
    name: str,
    optimizer: Optimizer,
    weights: list[nn.Parameter],
    x: Tensor,
    step: Step,
    share: float,
    batches: Batches,
    accelerator: Accelerator,
) -> dict[str, Tensor]:
    """The gradients of one optimiser's loss on this process's share of a batch, times the share, in as many pieces as its device's memory
    asks for; returns the recorded values."""

    def in_pieces(pieces: int) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        done = 0
        for number, part in enumerate(x.tensor_split(pieces)):
            here = replace(step, piece=number, keeps=pieces == 1, first=step.first + done)
            done += len(part)
            if number:
                here.seed_layers()
            found, of_batch = loss_of(name, part, here), len(part) / len(x)
            if number == 0:
                optimizer.zero_grad()
            accelerator.backward(found["loss"] * (of_batch * share), inputs=weights)  # no gradient for the other optimisers' weights
            for key, value in found.items():
                values[key] = values.get(key, 0.0) + value.detach() * of_batch
        return values

    values: dict[str, Tensor] = {}
    least = step.whole // batches.world  # of all processes' shares: they agree on the number of pieces where they share statistics
    while True:
        pieces = max(1, min(batches.pieces, least // 2))  # batch normalisation cannot work on one image
        ran_out: Exception | None = None
        try:
            values = in_pieces(pieces)
        except torch.OutOfMemoryError as error:
            ran_out = error.with_traceback(None)  # its frames hold what the attempt computed
        if not batches.any_failed(ran_out is not None):
            return values
        values = {}
        batches.halve(least, pieces, ran_out)


def _validate(objective: Objective, images: np.ndarray, step: Step, accelerator: Accelerator) -> dict[str, Any]:
    """The objective's held-out values, as the first process finds them with the state that all have then: "val_…"."""
    objective.modules.eval()
    share_state(objective.modules, accelerator)

    def held_out() -> dict[str, Any]:
        step.seed_layers()
        with torch.inference_mode():
            values = {key: float(value) for key, value in retried(lambda: objective.validate(images, step)).items()}
        return {f"val_{key}": value if math.isfinite(value) else None for key, value in values.items()}

    row: dict[str, Any] = first_finds(held_out, accelerator)
    if row.get("val_loss") is None:
        raise TrainingError(f"The validation loss of epoch {step.epoch} is not finite: lower the learning rate, or set gradient_clip.")
    return row


class _Loss(nn.Module):
    """The objective's loss as a module's forward, so that Accelerate can put autocast around it."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective
        self.parts = objective.modules

    def forward(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        values = self.objective.loss(optimizer, images, step)
        if "loss" not in values:
            raise SettingsError(f'{type(self.objective).__name__}.loss({optimizer!r}) has no "loss": name the value to be lowered so.')
        return {key: value if key == "loss" else value.detach() for key, value in values.items()}


def _describe(
    objective: Objective, optimizers: dict[str, Optimizer], images: np.ndarray, val_images: np.ndarray, settings: LoopSettings, seed: int
) -> dict[str, Any]:
    """What a checkpoint must agree with to be this run's: everything that decides the outcome and can be compared."""
    own = objective.settings
    loop = asdict(settings)
    del loop["checkpoint_seconds"]
    return {
        "objective": type(objective).__name__,
        "settings": asdict(own) if is_dataclass(own) and not isinstance(own, type) else None,
        "loop": loop,
        "seed": seed,
        "images": fingerprint(images),
        "val_images": fingerprint(val_images),
        "weights": {key: list(value.shape) for key, value in objective.modules.state_dict().items()},
        "optimizers": {name: [type(o).__name__, _groups(o)] for name, o in optimizers.items()},
    }


def _groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    groups = optimizer.state_dict()["param_groups"]
    return [{name: value for name, value in group.items() if name not in IMPLEMENTATION} for group in groups]


def _write(checkpoints: CheckpointFolder, state: Checkpoint, modules: nn.ModuleDict, optimizers: dict[str, Optimizer], due: bool) -> bool:
    """Write a checkpoint where one is due; returns whether it was."""
    if due:
        state.weights = modules.state_dict()
        state.optimizers = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
        checkpoints.write(state)
    return due


def _restore(state: Checkpoint, modules: nn.ModuleDict, optimizers: dict[str, Optimizer], device: torch.device) -> None:
    modules.load_state_dict(state.weights)
    state.best = {key: value.to(device) for key, value in state.best.items()}
    for name, optimizer in optimizers.items():
        restore_optimizer(optimizer, state.optimizers[name])
