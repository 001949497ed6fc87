"""Memory goes back to the system, and cycles are looked for when a process has grown."""

import gc
import weakref

import numpy as np

from viba_lib.core import memory


class Node:
    """Refers to itself, as a traced network does."""

    def __init__(self) -> None:
        self.me, self.data = self, np.ones(2**16)


def test_cycles_are_looked_for_when_the_process_has_grown(monkeypatch):
    resident = [10 * memory.GROWN]
    monkeypatch.setattr(memory, "_resident", lambda: resident[0])
    monkeypatch.setattr(memory, "_kept", [resident[0]])

    def collected():
        gc.disable()  # or Python may find the cycle by itself
        found = weakref.ref(Node())
        memory.give_back()
        gc.enable()
        return found() is None

    assert not collected()
    resident[0] += memory.GROWN // 2
    assert not collected()
    resident[0] += memory.GROWN
    assert collected() and not collected()
    # What became free since then counts again.
    resident[0] -= 3 * memory.GROWN
    assert not collected()
    resident[0] += 2 * memory.GROWN
    assert collected()


def test_a_freed_array_is_given_back():
    memory.give_back()
    before = memory._resident()
    array = np.ones(2**24)
    assert memory._resident() - before > array.nbytes // 2
    del array
    memory.give_back()
    assert memory._resident() - before < 2**25
