"""Batch normalisation over several processes, against torch's over the whole batch; `tests/test_processes.py` has real processes."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from novkit.batch_norm import shared_batch_norm

ALONE = SimpleNamespace(num_processes=2, device=torch.device("cpu"), reduce=lambda message: message)  # the other has no images


def test_outputs_gradients_and_running_statistics_are_torchs():
    torch.manual_seed(0)
    ours, theirs = nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(nn.BatchNorm2d(3))
    nn.init.normal_(ours[0].weight)
    theirs.load_state_dict(ours.state_dict())
    x = 3 + 2 * torch.randn(6, 3, 5, 4)
    given = []
    for network, around in ((ours, shared_batch_norm(ours, ALONE)), (theirs, nullcontext())):  # type: ignore[arg-type]
        here = x.clone().requires_grad_()
        with around:
            made = network(here)
            (made * torch.arange(made.numel()).reshape(made.shape).sin()).sum().backward()
        given.append((made, here.grad, *(parameter.grad for parameter in network.parameters()), *network.buffers()))
    for one, other in zip(*given, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_two_halves_see_the_whole():
    """The other process's message is added by hand: each half is normalised as in one batch."""
    whole = torch.randn(8, 2, 4, 4) * torch.linspace(1, 3, 8).view(8, 1, 1, 1)
    expected = nn.BatchNorm2d(2)(whole)
    told: list[torch.Tensor] = []
    network = nn.Sequential(nn.BatchNorm2d(2))
    first = SimpleNamespace(num_processes=2, device=torch.device("cpu"), reduce=lambda message: told.append(message) or message)
    with shared_batch_norm(network, first), torch.no_grad():  # type: ignore[arg-type]
        network(whole[4:])  # what the second half says of its sums; of its deviations it has the wrong mean
    sums = told[0]
    deviations = (whole[4:] - whole.mean((0, 2, 3), keepdim=True)).square().sum((0, 2, 3)).double()
    others = iter([sums, torch.cat([deviations, torch.zeros(len(sums) - 2)])])
    second = SimpleNamespace(num_processes=2, device=torch.device("cpu"), reduce=lambda message: message + next(others))
    with shared_batch_norm(network, second), torch.no_grad():  # type: ignore[arg-type]
        torch.testing.assert_close(network(whole[:4]), expected[:4], rtol=1e-5, atol=1e-5)


def test_evaluation_and_layers_afterwards_are_torchs():
    network = nn.Sequential(nn.BatchNorm2d(2))
    before, x = network[0].forward, torch.randn(3, 2, 4, 4)
    expected = network.eval()(x)
    with shared_batch_norm(network, ALONE):  # type: ignore[arg-type]
        torch.testing.assert_close(network(x), expected, rtol=0, atol=0)
        assert network[0].forward != before
    assert network[0].forward == before


@pytest.mark.parametrize(("answers", "failed"), [([(0, 2)], False), ([(1, 0), (1, 0), (1, 1)], True), ([(1, 0), (2, 0)], True)])
def test_a_process_answers_until_all_have_failed_or_are_done(answers, failed):
    left = list(answers)
    reduce = lambda message: torch.cat([message[:-2], message.new_tensor(left.pop(0))])  # noqa: E731
    accelerator = SimpleNamespace(num_processes=2, device=torch.device("cpu"), reduce=reduce)
    with shared_batch_norm(nn.BatchNorm2d(2), accelerator) as any_failed:  # type: ignore[arg-type]
        assert any_failed(failed) is failed
    assert left == []


def test_nothing_changes_with_one_process_or_without_such_layers():
    layer = nn.BatchNorm2d(2)
    for modules, processes in ((layer, 1), (nn.Conv2d(1, 1, 1), 2)):
        forward = modules.forward
        with shared_batch_norm(modules, SimpleNamespace(num_processes=processes)) as any_failed:  # type: ignore[arg-type]
            assert modules.forward == forward
            assert [any_failed(True), any_failed(False)] == [True, False]
