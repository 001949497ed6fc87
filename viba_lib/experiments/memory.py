"""Memory of this process."""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


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


def run_in_new_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Result of a function that runs in a new process, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
