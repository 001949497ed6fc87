"""Memory of this process."""

import math
from pathlib import Path


def resident(most: bool = False) -> float:
    """Resident memory in MiB, now or at its most; NaN where the system does not tell (not Linux).

    Not `getrusage`: its maximum outlives an exec, so that a child begins with its parent's.
    """
    status = Path("/proc/self/status")
    field = "VmHWM:" if most else "VmRSS:"
    lines = status.read_text().splitlines() if status.is_file() else []
    found = [line.split()[1] for line in lines if line.startswith(field)]
    return int(found[0]) / 1024 if found else math.nan
