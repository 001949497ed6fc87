"""The style of the book stays within its figures."""

import subprocess
import sys

import matplotlib as mpl

from viba_lib.visual import style

IMPORT_ALL = """
import importlib, pkgutil
import matplotlib as mpl
import viba_lib

before = dict(mpl.rcParams)
for module in pkgutil.walk_packages(viba_lib.__path__, "viba_lib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = dict(mpl.rcParams)
print(sorted(name for name in before if before[name] != after[name]))
"""


def test_importing_the_library_leaves_matplotlib_as_it_is():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr


def test_the_style_ends_with_its_context():
    before = dict(mpl.rcParams)
    with style.figure_style():
        assert mpl.rcParams["text.color"] == style.INK
    assert dict(mpl.rcParams) == before


def plot() -> bytes:
    with style.figure_style():
        figure, axis = style.new_plot(3, 2)
        axis.plot([0, 1])
    return figure._repr_png_()


def test_a_figure_looks_the_same_under_a_users_parameters():
    expected = plot()
    with mpl.rc_context({"xtick.color": "red", "savefig.transparent": False, "font.size": 30}):
        assert plot() == expected
