"""A copy of a chapter in which each stub is tried before its solution."""

import copy
from typing import Any

from nbformat import v4

from viba_lib.book.exercises import exercises
from viba_lib.book.students import stub


def tried(stub_code: str, test: str) -> str:
    """A cell that fails if a stub passes a test."""
    body = [
        "try:",
        f"    exec({stub_code + chr(10) + test!r}, dict(globals()))",
        "except Exception:",
        "    pass",
        "else:",
        "    raise SystemError('the stub of this exercise passes its test')",
    ]
    return "\n".join(body)


def with_stubs_tried(notebook: Any) -> Any:
    """A copy with a cell before each solution; it fails where the stub passes one of the tests."""
    copied = copy.deepcopy(notebook)
    for one in reversed(exercises(notebook)):
        code = stub(notebook.cells[one.solution].source)
        tests = (notebook.cells[n].source for n in (one.check, one.hidden))
        cell = v4.new_code_cell("\n".join(tried(code, test) for test in tests))
        cell["id"] = f"stub-{one.solution:03d}"
        copied.cells.insert(one.solution, cell)
    return copied
