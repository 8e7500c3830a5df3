"""Random numbers as a function of a seed and what they are for.

No draw in novkit depends on how many draws came before it: a generator is made from (seed, purpose, epoch, step).
That is what lets a killed run be resumed bit for bit, and a data set be generated in any order.
"""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")

DEVELOPMENT_SEEDS = tuple(range(10))
"""Of the embedded data: look at these as often as you like, settings are chosen on them."""
RESERVED_SEEDS = tuple(range(100, 110))
"""Results are reported on these; nothing is chosen on them."""


def seed_for(seed: int, *keys: int | str) -> int:
    """A 63-bit seed that depends on every key, and on their order."""
    text = repr((int(seed), *keys)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, *keys: int | str) -> np.random.Generator:
    """A NumPy generator for (seed, keys).

    >>> numpy_generator(0, "noise", 3).integers(100, size=5)
    array([19, 99, 69, 69, 68])
    >>> numpy_generator(0, "noise", 4).integers(100, size=5)  # another step, other draws, whatever came before
    array([61, 35, 11, 97, 68])
    """
    return np.random.Generator(np.random.PCG64(seed_for(seed, *keys)))


def torch_generator(seed: int, *keys: int | str) -> torch.Generator:
    """A torch generator on the CPU for (seed, keys): the same draws whatever the device that uses them."""
    return torch.Generator("cpu").manual_seed(seed_for(seed, *keys))


class BatchGenerator(torch.Generator):
    """A generator on the CPU for images `first`, `first` + 1, … of a batch of `whole`, the others of which are computed elsewhere.

    `drawn` gives each image the numbers that it would get where all are computed together.
    """

    first: int
    whole: int

    @classmethod
    def of(cls, seed: int, *keys: int | str, first: int, whole: int) -> "BatchGenerator":
        """For (seed, keys), with the draws of `torch_generator`."""
        generator = cls("cpu")
        generator.first, generator.whole = first, whole
        generator.manual_seed(seed_for(seed, *keys))
        return generator


def whole_batch(n: int, generator: torch.Generator) -> tuple[int, slice]:
    """For how many images to draw, and which of them the n at hand are; all n, unless it is a BatchGenerator that says otherwise."""
    if isinstance(generator, BatchGenerator):
        return generator.whole, slice(generator.first, generator.first + n)
    return n, slice(n)


def drawn(draw: Callable[..., torch.Tensor], n: int, *shape: int, generator: torch.Generator) -> torch.Tensor:
    """(n, *shape): what `draw`, such as torch.rand, gives each of n images; on the CPU.

    >>> together = drawn(torch.rand, 5, 2, generator=torch_generator(0, "noise"))
    >>> share = drawn(torch.rand, 3, 2, generator=BatchGenerator.of(0, "noise", first=2, whole=5))
    >>> bool((share == together[2:]).all())
    True
    """
    whole, own = whole_batch(n, generator)
    return draw((whole, *shape), generator=generator)[own]


def seeded(seed: int, purpose: str, build: Callable[[], T]) -> T:
    """Build a network with its initial weights drawn from (seed, purpose); the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_for(seed, "initial weights", purpose))  # torch.manual_seed would seed every GPU too
        return build()
