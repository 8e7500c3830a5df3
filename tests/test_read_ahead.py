"""What is read by a thread while what came before is used."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from novkit.batching import Batches, Step
from novkit.images import read_ahead
from tests.toy_training import IMAGES


def test_all_is_read_in_order():
    assert list(read_ahead(lambda n: n * n, range(5))) == [0, 1, 4, 9, 16]
    assert list(read_ahead(abs, [])) == []


def test_the_next_is_read_while_one_is_used_and_no_more():
    read, begun = [], {n: threading.Event() for n in range(5)}

    def note(n):
        read.append(n)
        begun[n].set()
        return n

    for n in read_ahead(note, range(5)):
        assert n == 4 or begun[n + 1].wait(20)
        assert read == list(range(min(n + 2, 5)))


def test_what_cannot_be_read_is_raised_where_it_would_be_used():
    given = read_ahead(lambda n: 6 // n, [1, 2, 0, 3])
    assert [next(given), next(given)] == [6, 3]  # the next has failed already
    with pytest.raises(ZeroDivisionError):
        next(given)


def test_images_that_do_not_lie_on_the_device_come_in_the_order_of_those_that_do(monkeypatch):
    """The meta device has no numbers, so what is read is looked at on its way there."""
    read = {}
    for kind in ("cpu", "meta"):
        device = torch.device(kind)
        batches = Batches(IMAGES, 4, SimpleNamespace(device=device, num_processes=1, process_index=0), seed=3)
        plain = batches._read
        monkeypatch.setattr(
            batches, "_read", lambda share, kind=kind, plain=plain: read.setdefault(kind, []).append(plain(share)) or plain(share)
        )
        given = list(batches.epoch(Step(0, 1, -1, device)))
        assert [x.device.type for _, x, _ in given] == [kind] * 5
        assert [(step.first, step.whole, share) for step, _, share in given] == [(0, 4, 1.0)] * 5
    for one, other in zip(read["cpu"], read["meta"], strict=True):
        np.testing.assert_array_equal(one, other)
