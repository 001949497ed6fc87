"""Progress lines of long work, with the time left."""

import time
from collections.abc import Callable

Progress = Callable[[str], None]


BETWEEN = 2.0  # seconds from one line of progress to the next


class TimeLeft:
    """How long work will take that goes on as it did: a phrase for a line of progress.

    Parameters
    ----------
    total : units of work
    done : units that were there at the start, and tell nothing about the pace
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.before, self.start = total, done, time.monotonic()

    def __call__(self, done: int) -> str:
        """Such as "12/40, about 3 min left", after `done` of the units."""
        said, made = f"{done}/{self.total}", done - self.before
        if made < 1 or done >= self.total:
            return said
        left = (time.monotonic() - self.start) / made * (self.total - done)
        return f"{said}, about {format_duration(left)} left"


class ProgressLines:
    """Lines of progress for work that is counted, at most one every other second.

    Parameters
    ----------
    what : begins each line
    total, done : see `TimeLeft`
    """

    def __init__(self, progress: Progress, what: str, total: int, done: int = 0) -> None:
        self.progress, self.what, self.done = progress, what, done
        self.left, self.last = TimeLeft(total, done), time.monotonic()
        if done:
            progress(f"{what}: goes on at {self.left(done)}")

    def update(self, count: int = 1) -> None:
        """Count finished units, and tell if it is time to."""
        self.done += count
        now = time.monotonic()
        if now - self.last >= BETWEEN or self.done >= self.left.total:
            self.last = now
            self.progress(f"{self.what}: {self.left(self.done)}")


def format_duration(seconds: float) -> str:
    """Seconds as a reader says them: 40 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
