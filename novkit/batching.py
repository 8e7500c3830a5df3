"""What a training step gets: its place in the run, and shuffled batches of images on the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from novkit.devices import seed_global
from novkit.errors import DataError, SettingsError, TrainingError
from novkit.images import chunks, read_ahead, send, to_raw, to_unit
from novkit.progress import say
from novkit.seeding import BatchGenerator, seed_for, torch_generator


@dataclass(frozen=True)
class Step:
    """Where in training we are, all counted from 0. A validation, or the hook before an epoch, has step −1.

    keeps: whether a loss may keep what it computed for the next optimiser's: only where a batch is taken in one piece.
    first, whole: the images at hand are number `first` and those after it of a batch of `whole`, in all processes together; a whole of 0
    means that there are no others.
    """

    seed: int
    epoch: int
    step: int
    device: torch.device
    process: int = 0
    piece: int = 0
    keeps: bool = True
    first: int = 0
    whole: int = 0

    def generator(self, *purpose: int | str) -> torch.Generator:
        """A CPU generator that is a function of (seed, epoch, step, purpose), and of process and piece where there are several."""
        pieces = (f"piece {self.piece}",) if self.piece else ()
        return torch_generator(self.seed, "step", self.epoch, self.step, self.process, *pieces, *purpose)

    def batch_generator(self, *purpose: int | str) -> torch.Generator:
        """A CPU generator that is the same in every process and piece: `novkit.seeding.drawn` takes from it what is drawn for each image,
        so that an image gets the same numbers wherever it is computed. With one process and piece its draws are those of `generator`."""
        keys = "step", self.epoch, self.step, 0, *purpose
        if not self.whole:
            return torch_generator(self.seed, *keys)
        return BatchGenerator.of(self.seed, *keys, first=self.first, whole=self.whole)

    def seed_layers(self) -> None:
        """Make what layers draw from torch's global random state (dropout) such a function too; the loop calls it at every step."""
        pieces = (f"piece {self.piece}",) if self.piece else ()
        seed_global(self.device, seed_for(self.seed, "layers", self.epoch, self.step, self.process, *pieces))


class Batches:
    """Shuffled batches of images on the device; with several processes, this one's share of each.

    images: (n, channels, height, width), uint8, uint16 or float32 in [0, 1]. batch_size: images a step, over all processes together.
    seed: the order follows from it. least_steps: of an epoch; the images are gone through several times to reach them. len: steps an epoch.
    Raises DataError for fewer images than a step needs (two for each process, or batch_size where that is less), SettingsError for a
    batch_size that gives one of several processes fewer than two.
    On CUDA the images stay on the device where they fill no more than a third of what is free there.
    """

    def __init__(self, images: np.ndarray, batch_size: int, accelerator: Accelerator, seed: int, least_steps: int = 1) -> None:
        self.images, self.seed, self.device = images, seed, accelerator.device
        self.world, self.rank = accelerator.num_processes, accelerator.process_index
        if self.world > 1 and batch_size < 2 * self.world:
            raise SettingsError(f"batch_size is {batch_size} for {self.world} processes: give each at least two images a step.")
        least = min(batch_size, 2 * self.world)  # batch normalisation cannot work on one image
        if len(images) < least:
            raise DataError(f"There are {len(images)} training images: give at least {least}.")
        n = len(images) if len(images) % batch_size >= least else len(images) - len(images) % batch_size
        once = [(part.start, part.stop) for part in chunks(n, batch_size)]
        self.passes = -(-least_steps // len(once))
        self.bounds = [(first + k * len(images), last + k * len(images)) for k in range(self.passes) for first, last in once]
        self.used = n * self.passes  # images an epoch
        self.pieces = 1  # of a batch, whose gradients are added up
        self.any_failed: Callable[[bool], bool] = lambda failed: failed  # whether a batch must be taken anew, as processes agree
        self.resident: Tensor | None = None
        if self.device.type == "cuda":
            size = images.nbytes * (2 if images.dtype == np.uint16 else 1)
            if size <= _free(self.device) / 3:
                self.resident = torch.empty(images.shape, dtype=to_raw(images[:1]).dtype, device=self.device)
                for part in chunks(len(images)):
                    self.resident[part] = to_raw(images[part]).to(self.device)

    def __len__(self) -> int:
        return len(self.bounds)

    def halve(self, n: int, pieces: int, error: Exception | None) -> None:
        """From now on take a batch of `n` images in twice as many pieces. Raises TrainingError where they hold two images already.

        error: what it ran out of memory with; None where another process did, which says so.
        """
        if 4 * pieces > n:
            message = f"Not even {-(-n // pieces)} images of {self.images.shape[2]}×{self.images.shape[3]} fit into the device's memory"
            raise TrainingError(f"{message}: choose smaller images or a narrower network.") from error
        self.pieces = 2 * pieces
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if error is not None:
            say(f"A batch of {n} images does not fit into the device's memory: it is taken in {self.pieces} pieces from now on.")

    def epoch(self, before: Step) -> Iterator[tuple[Step, Tensor, float]]:
        """(step, batch, its share of the batch of all processes); the order is a function of (seed, epoch)."""
        generator = torch_generator(self.seed, "order", before.epoch)
        order = torch.cat([torch.randperm(len(self.images), generator=generator) for _ in range(self.passes)])
        if self.resident is not None:
            order = send(order, self.device)
        steps, shares = [], []
        for number, (first, last) in enumerate(self.bounds):
            size = last - first
            start, stop = size * self.rank // self.world, size * (self.rank + 1) // self.world
            steps.append(replace(before, step=number, process=self.rank, first=start, whole=size))
            shares.append(order[first + start : first + stop])
        for step, x in zip(steps, self._taken(shares), strict=True):
            yield step, x, len(x) / step.whole

    def _taken(self, shares: list[Tensor]) -> Iterator[Tensor]:
        """The images of each share on the device; those that do not lie there are read while it computes."""
        if self.resident is not None:
            return (to_unit(self.resident[share]) for share in shares)
        raw = map(self._read, shares) if self.device.type == "cpu" else read_ahead(self._read, shares)
        return (to_unit(send(images, self.device)) for images in raw)

    def _read(self, share: Tensor) -> Tensor:
        images = to_raw(self.images[share.numpy()])
        return images.pin_memory() if self.device.type == "cuda" else images


def _free(device: torch.device) -> int:
    """Bytes of a CUDA device that this process could have: what torch holds without using it counts."""
    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
