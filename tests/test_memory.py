"""Memory kept while networks compute: fewer page faults, and given back behind the block. In a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from novkit.memory import _LIBRARY

pytestmark = pytest.mark.skipif(_LIBRARY is None, reason="the C library is not glibc, or is set up by the environment")

SCRIPT = """
import json, resource
import psutil, torch
from novkit.memory import memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MiB
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 2**26

def megabytes():
    return psutil.Process().memory_info().rss / 2**20

found = {"usual": faults(), "before": megabytes()}
with memory_kept():
    for _ in range(3):  # an array that is freed leaves room for the next, but for what came to lie between
        faults()
    with memory_kept():
        found["kept"] = faults()
    found["behind the inner block"] = faults()
    found["inside"] = megabytes()
found["after"] = megabytes()
print(json.dumps(found))
"""


def test_arrays_of_one_size_reuse_their_pages_inside_and_all_is_given_back_behind():
    found = json.loads(subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout)
    assert found["usual"] > 9  # times 64 MiB were mapped for ten arrays
    assert found["kept"] < 3
    assert found["behind the inner block"] < 3
    assert found["inside"] > found["before"] + 60
    assert found["after"] < found["before"] + 10


@pytest.mark.parametrize(("name", "value"), [("MALLOC_MMAP_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=100")])
def test_an_allocator_that_the_user_has_set_up_stays_so(name, value):
    found = json.loads(
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env=os.environ | {name: value}).stdout
    )
    assert found["kept"] > 9
