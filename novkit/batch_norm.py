"""Batch normalisation over the batch that several processes share, so that they learn what one process would."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@contextmanager
def shared_batch_norm(modules: nn.Module, accelerator: Accelerator) -> Iterator[Callable[[bool], bool]]:
    """Inside the block, layers of batch normalisation in training take mean and variance over the images of all processes.

    torch.nn.SyncBatchNorm does that on GPUs alone, and waits for ever where one process runs out of memory and sends no more of what the
    others wait for. Here every message has one length, and a process that failed goes on answering them. What is returned tells each
    process whether any has failed: all call it with their own failure once gradients are there, then all try again, or none does.
    With one process, or without such layers, nothing happens, and it returns what it is given.
    """
    layers = [layer for layer in modules.modules() if isinstance(layer, nn.BatchNorm2d)] if accelerator.num_processes > 1 else []
    if not layers:
        yield lambda failed: failed
        return
    messages = _Messages(accelerator, most=1 + max(layer.num_features for layer in layers))
    plain = [layer.forward for layer in layers]
    for layer in layers:
        layer.forward = partial(_normalised, layer, layer.forward, messages)  # type: ignore[method-assign]
    try:
        yield messages.any_failed
    finally:
        for layer, forward in zip(layers, plain, strict=True):
            layer.forward = forward  # type: ignore[method-assign]


class _Messages:
    """Sums over all processes, in messages of one length: values, then how many processes have failed and how many are done."""

    def __init__(self, accelerator: Accelerator, most: int) -> None:
        self.accelerator, self.most = accelerator, most

    def summed(self, values: Tensor, failed: bool = False, done: bool = False) -> Tensor:
        """(k,) float64 -> the sum over all processes, followed by the numbers of failed ones and of those that are done."""
        padding = values.new_zeros(self.most - len(values))
        ends = (values.new_full((1,), float(end)) for end in (failed, done))
        message = self.accelerator.reduce(torch.cat([values, padding, *ends]))
        return torch.cat([message[: len(values)], message[self.most :]])

    def any_failed(self, failed: bool) -> bool:
        """Answer the others' messages until every process has failed or is done; whether any has failed."""
        nothing = torch.zeros(0, dtype=torch.float64, device=self.accelerator.device)
        while True:
            n_failed, n_done = self.summed(nothing, failed, not failed).tolist()
            if n_failed + n_done == self.accelerator.num_processes:
                return n_failed > 0


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, as each process's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, messages: _Messages) -> Tensor:
        ctx.messages = messages
        return messages.summed(values)[: len(values)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.messages.summed(gradient.contiguous())[: len(gradient)], None


def _normalised(layer: nn.BatchNorm2d, plain: Callable[[Tensor], Tensor], messages: _Messages, x: Tensor) -> Tensor:
    """What the layer gives (n, channels, height, width) in training where the batch of all processes is seen; in evaluation as it is."""
    if not layer.training:
        return plain(x)
    pixels, shape = (0, 2, 3), (1, -1, 1, 1)
    wide = x.float()
    size = torch.full((1,), x.numel() / x.shape[1], dtype=torch.float64, device=x.device)
    total = _Sum.apply(torch.cat([wide.sum(pixels).double(), size]), messages)
    n = total[-1].detach()
    mean = total[:-1] / n
    centred = wide - mean.float().view(shape)
    variance = _Sum.apply(centred.square().sum(pixels).double(), messages) / n
    kept_mean, kept_variance, share = layer.running_mean, layer.running_var, layer.momentum
    assert kept_mean is not None and kept_variance is not None and share is not None  # noqa: PT018  # as every layer here has them
    with torch.no_grad():  # the variance unbiased, as torch keeps it
        kept_mean.lerp_(mean.float(), share)
        kept_variance.lerp_((variance * n / (n - 1)).float(), share)
        layer.num_batches_tracked.add_(1)  # type: ignore[union-attr]
    scale = (variance + layer.eps).rsqrt().float() * layer.weight
    return (centred * scale.view(shape) + layer.bias.view(shape)).to(x.dtype)
