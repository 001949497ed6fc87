"""What the book costs from nothing: time and memory of a build, and the time of each stage."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from viba_lib.book import paths
from viba_lib.core.cache import read_meta

INTERVAL = 2.0  # seconds between two samples
SOURCES = ("viba_lib", "notebooks", "book", "_config.yml", "_toc.yml", "requirements.lock")


class MemorySampler(threading.Thread):
    """Samples the resident memory of this process and all that it starts, while a context is open.

    `peak` is the largest sum in bytes. Memory that processes share, such as libraries, is counted
    once on Linux (proportional set size), and for each process elsewhere.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._over = 0, threading.Event()

    def run(self) -> None:
        """Sample until the context ends."""
        while not self._over.wait(INTERVAL):
            self.sample()

    def sample(self) -> None:
        """Take one sample."""
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        # What is shared takes a tenth of a second to find in a large process, which meanwhile gets
        # no memory. It only makes the sum smaller.
        if _total(processes, lambda process: process.memory_info().rss) > self.peak:
            self.peak = max(self.peak, _total(processes, _own_memory))

    def __enter__(self) -> "MemorySampler":
        self.sample()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def _own_memory(process: psutil.Process) -> int:
    """Bytes of a process, with its part of what it shares."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def _total(processes: Sequence[psutil.Process], measure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in processes:
        with suppress(psutil.Error):  # it has ended meanwhile
            total += measure(process)
    return total


def measure_build(profile: str, seed: int, device: str) -> dict[str, Any]:
    """Build the book from nothing, in a copy of its sources; fetched data is shared.

    Returns
    -------
    seconds and memory (bytes) of the whole build, seconds again (of a build after which nothing
    changed), and stages: seconds of each by its name, the longest first.

    Raises
    ------
    BookError
        The build failed; what it printed stands above.
    """
    arguments = ["--profile", profile, "--seed", str(seed), "--device", device]
    command = [sys.executable, "-m", "viba_lib.book", "build", *arguments]
    with TemporaryDirectory() as name:
        folder = Path(name)
        environment = copy_sources(folder)
        costs = []
        for _ in range(2):
            begun = time.monotonic()
            with MemorySampler() as memory:
                if _status(command, folder, environment):
                    raise paths.BookError("the build failed; see above for the reason")
            costs.append((time.monotonic() - begun, memory.peak))
        stages = sorted(_stages(folder / "results"), key=lambda stage: -stage[1])
    (seconds, peak), (again, _) = costs
    return {"seconds": seconds, "memory": peak, "again": again, "stages": dict(stages)}


def copy_sources(folder: Path) -> dict[str, str]:
    """Copy the book's sources into a folder, with a link to the fetched data.

    Returns
    -------
    Environment of processes that import this copy. Chapters start in another folder and would
    import the installed package, whose files may change before the build has ended.
    """
    for source in SOURCES:
        path = paths.ROOT / source
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, folder / source)
    (paths.ROOT / "data").mkdir(exist_ok=True)
    (folder / "data").symlink_to(paths.ROOT / "data")
    # A folder of its own: no other file must take the name of one of Python's modules.
    code = folder / "code"
    code.mkdir()
    (code / "viba_lib").symlink_to(folder / "viba_lib")
    further = filter(None, [os.environ.get("PYTHONPATH")])
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(code), *further])}


def _status(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Exit status of a command, which is interrupted if this process is."""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL
    ) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # `subprocess.run` would kill it, and the chapters that it runs would continue.
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def _stages(results: Path) -> Iterator[tuple[str, float]]:
    """Name and run time of each finished stage below a folder of results."""
    for path in results.rglob("meta.json"):
        meta = read_meta(path.parent)
        if meta is not None:
            yield f"{path.parent.parent.name} {path.parent.name[:6]}", float(meta["seconds"])
