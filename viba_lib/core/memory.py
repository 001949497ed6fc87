"""Freed memory that a process gives back."""

import ctypes
import gc
from contextlib import suppress

LONG = 5.0  # seconds; to find cycles takes up to half of one


def give_back(seconds: float = LONG) -> None:
    """Give memory that was freed back to the system.

    Traced networks refer to themselves, and stay until Python looks for such cycles, which it
    hardly does beside many objects. glibc keeps what lies between parts that are still in use, for
    allocations to come: after some stages, a process that is told to keep freed memory would hold
    twice what it needs.

    Parameters
    ----------
    seconds : that the work took; cycles are looked for after `LONG` or more
    """
    if seconds >= LONG:
        gc.collect()
    with suppress(AttributeError, TypeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
