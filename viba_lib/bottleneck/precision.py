"""Precision of the passes through a network: by its name, or the faster one on this machine.

With matrix units for bfloat16, convolutions take half the time or less; where a processor has none,
they are imitated and take fifteen times as long.
"""

import hashlib
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text

AUTO = "auto"
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
GAIN = 1.2  # a smaller gain is not worth the rounding, and the clock cannot be sure of it
HOPELESS = 4.0  # times slower in the first pass, after which no other one is timed
PASSES = 3
CACHE = "VIBA_CACHE"  # in the environment: folder in which answers are kept


def dtype_of(precision: str) -> torch.dtype | None:
    """Data type by the name of its precision; None = that of the network.

    Raises
    ------
    VibaError
        Unknown name.
    """
    if precision not in PRECISIONS:
        known = [AUTO, *PRECISIONS]
        raise VibaError(f"precision {precision!r} is not known; choose of {known}")
    return PRECISIONS[precision]


def autocast(device: str | torch.device, precision: str) -> torch.autocast:
    """Passes in this precision; "float32" changes nothing."""
    dtype = dtype_of(precision)
    return torch.autocast(torch.device(device).type, dtype, enabled=dtype is not None)


def choose(
    precision: str, work: str, run: Callable[[str], Any], device: str | torch.device = "cpu"
) -> str:
    """The name of a precision; for "auto", the faster of float32 and bfloat16.

    Both are timed once. The answer is kept in the user's cache folder (`VIBA_CACHE`, or ~/.cache),
    so that it is the same each time on one machine.

    Parameters
    ----------
    work : what is timed, such as the layer and the size of its inputs
    run : does the work once in the precision that it is given

    Raises
    ------
    VibaError
        Unknown name.
    """
    if precision != AUTO:
        dtype_of(precision)
        return precision
    facts = [torch.device(device).type, *machine(device), work]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    folder = os.environ.get(CACHE) or Path.home() / ".cache" / "viba"
    path = Path(folder) / "precision" / f"{key}.txt"
    with suppress(OSError, UnicodeDecodeError):
        known = path.read_text(encoding="utf-8")
        if known in PRECISIONS:
            return known
    found = _faster(run, torch.device(device))
    with suppress(OSError):  # where nothing can be kept, the next process asks the clock again
        write_text(path, found)
    return found


def machine(device: str | torch.device) -> list[str]:
    """What decides which precision is faster: processor, its instructions, threads, torch."""
    if torch.device(device).type == "cuda":
        return [torch.cuda.get_device_name(device), torch.__version__]
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # where there is such a file, Python does not know the name
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line for line in lines if line.startswith("model name")), name)
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    vectors = torch.backends.cpu.get_cpu_capability()
    return [name, vectors, limit, f"{torch.get_num_threads()} threads", torch.__version__]


def imitated(precision: str, run: Callable[[str], Any], device: torch.device) -> bool:
    """Whether work takes many times as long as in float32, as where no unit computes it.

    Parameters
    ----------
    run : see `choose`; each precision is timed once
    """
    plain, reduced = (_seconds(run, name, device) for name in ("float32", precision))
    return reduced > HOPELESS * plain


def _faster(run: Callable[[str], Any], device: torch.device) -> str:
    names = ("float32", "bfloat16")
    if imitated(names[1], run, device):
        return names[0]
    # In turns, so that a disturbance meets both.
    timed = [[_seconds(run, name, device) for name in names] for _ in range(PASSES)]
    plain, reduced = map(min, zip(*timed, strict=True))
    return names[reduced * GAIN < plain]


def _seconds(run: Callable[[str], Any], precision: str, device: torch.device) -> float:
    begun = clock(device)
    run(precision)
    return clock(device) - begun


def clock(device: torch.device) -> float:
    """Seconds of a clock, after all that was begun on the device has ended."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()
