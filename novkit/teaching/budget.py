"""What a detector cost to train and how large it is, counted while it is built."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """What was spent, or what may be.

    images_seen: images that passed through a network while gradients were on. parameters: numbers that the detector holds.
    seconds: on the clock.
    """

    images_seen: int
    parameters: int
    seconds: float = float("inf")

    def within(self, limits: "Budget") -> bool:
        """Whether nothing exceeds the limits."""
        return not self.excess(limits)

    def excess(self, limits: "Budget") -> str:
        """What exceeds the limits, in words; "" if nothing does."""
        over = [(f.name, getattr(self, f.name), getattr(limits, f.name)) for f in fields(self)]
        return ", ".join(f"{name} {spent:,.0f} of {allowed:,.0f}" for name, spent, allowed in over if spent > allowed)


def budget_check(build: Callable[[np.ndarray, np.ndarray, int], T], X_train: np.ndarray, X_val: np.ndarray, seed: int) -> tuple[T, Budget]:
    """Call build(X_train, X_val, seed) and count what it spends; returns the detector and its budget.

    A method without a network has seen each training image once. Networks that are not torch modules are not counted.
    """
    start = time.perf_counter()
    with _counting() as seen:
        detector = build(X_train, X_val, seed)
    seconds = time.perf_counter() - start
    return detector, Budget(max(seen[0], len(X_train)), count_parameters(detector), seconds)


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Count the images of every outermost call of a module while gradients are on."""
    seen, depth = [0], [0]

    def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if depth[0] == 0 and torch.is_grad_enabled():
            batch = next((value for value in arguments if isinstance(value, Tensor) and value.dim() > 1), None)
            seen[0] += 0 if batch is None else len(batch)
        depth[0] += 1

    def after(module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        depth[0] -= 1

    hooks = [register_module_forward_pre_hook(before), register_module_forward_hook(after, always_call=True)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


SKIPPED = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type, str, bytes, int, float, np.random.Generator, torch.Generator)


def count_parameters(detector: Any) -> int:
    """Elements of all tensors and arrays that are reachable from the detector's attributes, each counted once; buffers count as well."""
    total, known, waiting = 0, {0}, [detector]
    kept = []  # so that no identity is used twice
    while waiting:
        value = waiting.pop()
        if id(value) in known or value is None or isinstance(value, SKIPPED):
            continue
        known.add(id(value))
        kept.append(value)
        if isinstance(value, Tensor):
            total += value.numel()
        elif isinstance(value, np.ndarray) and value.dtype != object:
            total += value.size
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple | set | frozenset | np.ndarray):
            waiting += list(value)
        elif isinstance(value, nn.Module):
            waiting += [*value.parameters(), *value.buffers(), *(v for k, v in vars(value).items() if not k.startswith("_"))]
        else:
            waiting += getattr(value, "__dict__", {}).values()
    return int(total)
