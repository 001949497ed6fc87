"""Freed memory that a process gives back."""

import ctypes
import gc
from contextlib import suppress

import psutil

GROWN = 192 * 2**20  # bytes; to find cycles takes up to half a second
_kept = [0]  # bytes that were resident after the last look for cycles, or fewer since


def give_back() -> None:
    """Give memory that was freed back to the system.

    Traced networks refer to themselves, and stay until Python looks for such cycles, which it
    hardly does beside many objects: it is asked to when the process has grown. glibc keeps what
    lies between parts that are still in use, for allocations to come: after some stages, a process
    that is told to keep freed memory would hold twice what it needs.
    """
    _trim()
    found = _resident()
    if found - _kept[0] > GROWN:
        gc.collect()
        _trim()
        _kept[0] = _resident()
    _kept[0] = min(_kept[0], found)  # what is free now may be taken again by cycles


def _trim() -> None:
    with suppress(AttributeError, TypeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
