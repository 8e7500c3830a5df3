"""Timing a call, and counting what it computes and moves."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

REPEATS = 5
LEAST_SECONDS = 1.0  # of all repeats together
_MOST = 50


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat, after two that were not counted."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.seconds), max(self.seconds)


def timed(call: Callable[[], Any], device: torch.device | str = "cpu", *, repeats: int = REPEATS, warm: int = 2) -> Timing:
    """At least `repeats` calls and LEAST_SECONDS; a GPU is waited for before each reading of the clock."""
    wait = (lambda: torch.cuda.synchronize(device)) if torch.device(device).type == "cuda" else (lambda: None)
    for _ in range(warm):
        call()
    seconds: list[float] = []
    while len(seconds) < repeats or (sum(seconds) < LEAST_SECONDS and len(seconds) < _MOST):
        wait()
        start = time.perf_counter()
        call()
        wait()
        seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds))


class _Traffic(TorchDispatchMode):
    """Bytes of every operation's arguments and results: what would move if nothing stayed in a cache between two operations."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def counted(call: Callable[[], Any]) -> tuple[int, int]:
    """Floating-point operations (products and convolutions, forwards and backwards) and bytes of one call."""
    with FlopCounterMode(display=False) as operations:
        call()
    with _Traffic() as traffic:
        call()
    return operations.get_total_flops(), traffic.bytes
