"""What several processes that train together exchange: gradients, states, what the first one found. With one process, nothing."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list
from torch import Tensor, nn

from novkit.errors import NovkitError, SettingsError

if torch.distributed.is_available():  # now, before the processes meet: imported later, its defaults hold their group past `leave`
    import torch.distributed.nn.functional


def add_gradients(weights: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Every process's gradients become the sum of all; a weight must have a gradient on all processes or on none.

    This comes after the whole backward pass: a process whose batch did not fit may have tried more often than the others.
    """
    if accelerator.num_processes > 1:
        _as_one([weight.grad for weight in weights if weight.grad is not None], accelerator.reduce)


def share_state(modules: nn.Module, accelerator: Accelerator) -> None:
    """Every process takes the weights and the buffers (running statistics, centres; numbers with a point alone) of the first."""
    if accelerator.num_processes > 1:
        _as_one([value for value in modules.state_dict().values() if value.is_floating_point()], broadcast)


def first_finds(find: Callable[[], Any], accelerator: Accelerator) -> Any:
    """What `find` returns in the first process, which alone calls it. The NovkitError that it raises there, every process raises."""
    found: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            found[0] = find()
        except NovkitError as error:
            found[1] = error
    value, raised = broadcast_object_list(found)
    if raised is not None:
        raise raised
    return value


def check_alike(number: int, accelerator: Accelerator, sentence: str) -> None:
    """Raises SettingsError with `sentence` in every process where `number` is not the same in all."""
    if accelerator.num_processes > 1:
        numbers = accelerator.gather(torch.tensor([number], device=accelerator.device))
        if bool((numbers != number).any()):
            raise SettingsError(sentence)


def leave() -> None:
    """Part from the others, if there are any: each process calls it when nothing is left to exchange.

    A process that ends while threads still exchange may be aborted on its way out, though all its work is done.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _as_one(tensors: list[Tensor], exchange: Callable[[Tensor], Tensor]) -> None:
    """Exchange tensors in place as one message, whatever their layout in memory."""
    flat = exchange(torch.cat([tensor.reshape(-1) for tensor in tensors]))
    with torch.no_grad():
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))
