"""Memory of this process."""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def resident_memory(peak: bool = False) -> float:
    """Resident memory in MiB, now or at its most; NaN where the system does not tell (not Linux).

    Not `getrusage`: its maximum outlives an exec, so that a child begins with its parent's.
    """
    status = Path("/proc/self/status")
    field = "VmHWM:" if peak else "VmRSS:"
    lines = status.read_text().splitlines() if status.is_file() else []
    found = [line.split()[1] for line in lines if line.startswith(field)]
    return int(found[0]) / 1024 if found else math.nan


def run_in_new_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Result of a function that runs in a fresh process, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
