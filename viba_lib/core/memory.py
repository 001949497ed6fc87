"""Freed memory that a process gives back."""

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give memory that was freed back to the system.

    glibc keeps what lies between parts that are still in use, for allocations to come: after some
    stages, a process that is told to keep freed memory would hold twice what it needs.
    """
    with suppress(AttributeError, TypeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
