"""Freed memory goes back to the system."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest

from viba_lib.core import memory
from viba_lib.core.memory import LONG, give_back

# Small blocks between which others stay in use: glibc keeps the gaps.
HOLES = """
import psutil
from viba_lib.core.memory import give_back
resident = lambda: psutil.Process().memory_info().rss
begun = resident()
held = [bytearray(60_000) for _ in range(4000)]
full = resident()
held = held[::100]
before = resident()
give_back()
print(full - begun, full - before, full - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no such call")
def test_gaps_between_blocks_in_use_are_given_back():
    done = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, check=True,
        env={"MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_MMAP_THRESHOLD_": str(2**27)},
    )  # fmt: skip
    took, freed, given_back = map(int, done.stdout.split())
    assert took > 200e6 and freed < 50e6
    assert given_back > 0.7 * took


def test_what_refers_to_itself_goes_after_long_work():
    class Loop:
        def __init__(self):
            self.own = self

    give_back()  # what grew before does not count
    gc.disable()  # it must be this call that finds it
    try:
        left = weakref.ref(Loop())
        give_back(LONG / 2)
        assert left() is not None
        give_back(LONG)
        assert left() is None
    finally:
        gc.enable()


def test_cycles_are_looked_for_when_the_process_has_grown(monkeypatch):
    class Loop:
        def __init__(self):
            self.own = self

    resident = [10.0 * memory.GROWN]
    monkeypatch.setattr(memory, "resident_memory", lambda: resident[0])
    monkeypatch.setattr(memory, "_kept", [resident[0]])

    def collected():
        gc.disable()  # or Python may find the cycle by itself
        found = weakref.ref(Loop())
        give_back(LONG / 2)
        gc.enable()
        return found() is None

    assert not collected()
    resident[0] += memory.GROWN / 2
    assert not collected()
    resident[0] += memory.GROWN
    assert collected() and not collected()
    # What became free since then counts again.
    resident[0] -= 3 * memory.GROWN
    assert not collected()
    resident[0] += 2 * memory.GROWN
    assert collected()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is not reported")
def test_a_freed_array_is_given_back():
    give_back()
    before = memory.resident_memory()
    array = np.ones(2**24)
    assert memory.resident_memory() - before > 64
    del array
    give_back()
    assert memory.resident_memory() - before < 32
