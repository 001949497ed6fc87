"""Resident memory of this process, and freed memory that it gives back."""

import ctypes
import gc
import math
from contextlib import suppress
from pathlib import Path

LONG = 5.0  # seconds; to find cycles takes up to half of one
GROWN = 192  # MiB
_kept = [0.0]  # MiB that were resident after the last look for cycles, or fewer since


def resident_memory(peak: bool = False) -> float:
    """Resident memory in MiB, now or at its peak; NaN on systems other than Linux.

    `getrusage` is not used because its maximum outlives an exec: a child begins with the maximum
    of its parent.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return math.nan
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM" if peak else "VmRSS"].split()[0]) / 1024


def give_back(seconds: float = LONG) -> None:
    """Give memory that was freed back to the system.

    Traced networks refer to themselves, and stay until Python looks for such cycles, which it
    hardly does beside many objects. glibc keeps what lies between parts that are still in use, for
    allocations to come: after some stages, a process that is told to keep freed memory would hold
    twice what it needs.

    Parameters
    ----------
    seconds : that the work took; cycles are looked for after `LONG` or more, or if the process has
        grown, as it does in many short stages
    """
    _trim()
    found = resident_memory()
    if seconds >= LONG or found - _kept[0] > GROWN:
        gc.collect()
        _trim()
        found = _kept[0] = resident_memory()
    _kept[0] = min(_kept[0], found)  # what is free now may be taken again by cycles


def _trim() -> None:
    with suppress(AttributeError, TypeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
