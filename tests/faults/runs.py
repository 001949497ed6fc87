"""Commands and clusters as processes of their own, and what they leave behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from distributed import Client

from viba_lib.core.cache import read_meta


def environment(**more: str) -> dict[str, str]:
    """Environment of a run in a copy: its own library, the same number of threads each time."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **more}


def files_of(results: Path, stages: str = "*") -> dict[str, str]:
    """SHA-256 of every file of finished stages, by its place."""
    found = {}
    for meta in sorted(results.glob(f"{stages}/*/meta.json")):
        stage = meta.parent
        known = read_meta(stage)
        assert known is not None, stage
        place = stage.relative_to(results).as_posix()
        found |= {f"{place}/{name}": record.sha256 for name, record in known["files"].items()}
    return found


def _interruptible() -> None:
    """A shell starts background commands with interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """A command in a copy of the project, and all processes that it starts."""

    def __init__(self, project: Path, *arguments: str, **more: str) -> None:
        self.log = project / f"said-{time.monotonic_ns()}.txt"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], cwd=project, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_interruptible,
                env=environment(PYTHONPATH=str(project), **more),
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, seconds: float = 600) -> None:
        """Until the words were printed."""
        end = time.monotonic() + seconds
        while words not in self.said():
            assert self.process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < end, f"{words!r} was not said: {self.said()[-3000:]}"
            time.sleep(0.02)

    def wait_for_process(self, words: str, seconds: float = 600) -> None:
        """Until the run has started a process with these words in its command."""
        end = time.monotonic() + seconds
        while words not in self._commands():
            assert self.process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < end, f"no process {words!r}: {self.said()[-3000:]}"
            time.sleep(0.1)

    def _commands(self) -> str:
        found = ""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                found += " ".join(process.cmdline())
        return found

    def ended_within(self, seconds: float) -> bool:
        """Whether the run ends by itself in this time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def kill(self) -> None:
        """SIGKILL to all processes of the run: nobody can tidy up."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 600) -> int:
        """Wait for the exit status."""
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()


# Of the scheduler, as `book/cluster.md` has them.
SCHEDULER = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0",
}


class Cluster:
    """A Dask scheduler and two workers, each a process of its own, as `dask` starts them."""

    def __init__(self, folder: Path, preload: str) -> None:
        folder.mkdir()
        self.folder, self.processes = folder, []
        script = folder / "preload.py"
        script.write_text(preload)
        self.file = folder / "scheduler.json"
        listen = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self._start("scheduler", *listen, "--scheduler-file", str(self.file))
        workers = ["--nworkers", "2", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"]
        workers += ["--preload", str(script), "--local-directory", str(folder)]
        self._start("worker", "--scheduler-file", str(self.file), *workers)

    def _start(self, kind: str, *arguments: str) -> None:
        with (self.folder / f"{kind}.txt").open("wb") as out:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", kind, *arguments],
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=environment(**SCHEDULER),
                )
            )

    @property
    def address(self) -> str:
        end = time.monotonic() + 60
        while not self.file.is_file() or not self.file.read_text().strip():
            assert time.monotonic() < end, "the scheduler did not start"
            time.sleep(0.1)
        found = str(json.loads(self.file.read_text())["address"])
        with Client(found, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        return found

    def close(self) -> None:
        for process in self.processes[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
