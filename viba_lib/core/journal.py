"""What a chapter writes beside its page is noted where the book can look.

The book names a file in the environment of a chapter's kernel. Without it nothing is noted.
"""

import json
import os
from pathlib import Path

from viba_lib.core.cache import Record, record_file

VARIABLE = "VIBA_JOURNAL"


def note(path: Path) -> None:
    """Note a finished file with its size and hash."""
    place = os.environ.get(VARIABLE)
    if place:
        line = json.dumps([str(path.absolute()), *record_file(path)])
        # One short line in one call: two processes do not write into each other's.
        with open(place, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def read(place: Path) -> dict[Path, Record]:
    """The files that were noted, as they were written last."""
    if not place.is_file():
        return {}
    lines = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
    return {Path(path): Record(size, sha256) for path, size, sha256 in lines}
