"""Progress lines of long work, with the time left.

Bars of tqdm and rich redraw a line of a terminal. Here each line is a text that is complete and
rare enough for a log, for the output of a chapter and for a terminal, so none of them is used.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[str], None]
INTERVAL = 2.0  # seconds between two lines


class ProgressLines:
    """Progress lines of work that is counted, at most one every two seconds.

    Parameters
    ----------
    what : begins each line
    total : units of work
    done : units that were done before the start, which say nothing about the pace
    """

    def __init__(self, progress: Progress, what: str, total: int, done: int = 0) -> None:
        self.progress, self.what, self.total = progress, what, total
        self.before, self.done = done, done
        self.start = self.last = time.monotonic()
        if done:
            progress(f"{what}: resumed at {self.left(done)}")

    def update(self, count: int = 1) -> None:
        """Count finished units, and send a line if it is time to."""
        self.done += count
        now = time.monotonic()
        if now - self.last >= INTERVAL or self.done >= self.total:
            self.last = now
            self.progress(f"{self.what}: {self.left(self.done)}")

    def left(self, done: int) -> str:
        """Such as "12/40, about 3 min left": the time at the same pace, after `done` units."""
        count, new = f"{done}/{self.total}", done - self.before
        if new < 1 or done >= self.total:
            return count
        seconds = (time.monotonic() - self.start) / new * (self.total - done)
        return f"{count}, about {format_duration(seconds)} left"

    def counted(self, results: Iterable[Result]) -> Iterator[Result]:
        """The given results, each counted as one unit."""
        for result in results:
            self.update()
            yield result


def format_duration(seconds: float) -> str:
    """Seconds for a reader: 40 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
