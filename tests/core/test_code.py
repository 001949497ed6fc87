"""The code of a key: what a function reaches counts, and nothing else."""

from pathlib import Path

import pytest

from viba_lib.core.code import _key, code_key

FILES = {
    "__init__.py": '"""A library."""\n',
    "main.py": '''"""Main."""
from lib import tools
from lib.numbers import SCALE, Base

REGISTRY = {}
REGISTRY["double"] = tools.double


class Machine(Base):
    """A machine."""

    def run(self, x: int) -> int:
        """Run it."""
        return REGISTRY["double"](x) * SCALE


def compute(x: int) -> int:
    """Compute."""
    from lib.late import offset

    return Machine().run(x) + offset()


def print_table(x: int) -> str:
    return f"table {x}"
''',
    "tools.py": "def double(x):\n    return helper(x)\n\n\ndef helper(x):\n    return 2 * x\n\n\n"
    "def unused(x):\n    return x\n",
    "numbers.py": "SCALE = 3\nOTHER = 4\n\n\nclass Base:\n    limit = 5\n",
    "late.py": "def offset():\n    return 1\n",
    "pages.py": "from lib.main import compute, print_table\n",
}


@pytest.fixture
def key(tmp_path, monkeypatch):
    """Write the library with some text replaced; returns the key of `compute`."""
    library = tmp_path / "lib"
    library.mkdir()

    def written(replace: dict[str, tuple[str, str]] | None = None) -> str:
        for name, text in FILES.items():
            old, new = (replace or {}).get(name, ("", ""))
            assert old in text
            (library / name).write_text(text.replace(old, new) if old else text)
        _key.cache_clear()  # files are edited within this process
        return code_key(Function(), library=library)

    return written


class Function:
    """Stands for `compute`, which is read and not imported."""

    __module__, __qualname__ = "lib.main", "compute"


@pytest.fixture(autouse=True)
def not_imported(monkeypatch):
    def origin(code: object) -> tuple[str, str, Path, int]:
        return "lib.main", "compute", Path(__file__), 0

    monkeypatch.setattr("viba_lib.core.code._origin", origin)


@pytest.mark.parametrize(
    "change",
    [
        {"main.py": ('"""Compute."""', '"""Compute it otherwise."""')},
        {"main.py": ('"""Main."""', '"""Another text."""')},
        {"main.py": ("def compute", "# A comment.\ndef compute")},
        {"main.py": ("    return Machine()", "\n\n    return Machine()")},
        {"main.py": ('f"table {x}"', 'f"a nicer table {x}"')},
        {"tools.py": ("def unused(x):\n    return x", "def unused(x):\n    return x + 1")},
        {"numbers.py": ("OTHER = 4", "OTHER = 5")},
        {"pages.py": ("compute, print_table", "compute")},
    ],
)
def test_what_is_not_reached_and_what_is_no_code_changes_nothing(key, change):
    assert key() == key(change)


@pytest.mark.parametrize(
    "change",
    [
        {"main.py": ("+ offset()", "- offset()")},
        {"main.py": ('REGISTRY["double"] = tools.double', 'REGISTRY["double"] = tools.helper')},
        {"tools.py": ("return 2 * x", "return 3 * x")},
        {"numbers.py": ("SCALE = 3", "SCALE = 4")},
        {"numbers.py": ("limit = 5", "limit = 6")},
        {"late.py": ("return 1", "return 2")},
    ],
)
def test_what_is_reached_changes_the_key(key, change):
    assert key() != key(change)
