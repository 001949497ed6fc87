"""The wheel alone, outside the repository, is enough for one's own video and for the method."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from viba_lib.core.download import source_path
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import read_video, write_video

pytestmark = [pytest.mark.slow, pytest.mark.network]
BOOK = ("papermill", "nbformat", "psutil", "playwright", "bs4", "jupytext")
# Without the packages of the extra: the import of a module that is None fails.
VIBA = f"""
import sys
sys.modules.update(dict.fromkeys({BOOK}))
from viba_lib.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs Python code with the wheel instead of the repository's library."""
    built, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    plain = ["--no-deps", "--quiet"]
    subprocess.run([*pip, "wheel", *plain, "--no-build-isolation", "-w", built, ROOT], check=True)
    (wheel,) = built.glob("viba-*.whl")
    subprocess.run([*pip, "install", *plain, "--target", site, wheel], check=True)

    def run(code, *arguments, cwd):
        call = [sys.executable, "-c", code, *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "200"}
        done = subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_wheel_explains_a_video(installed, fetched, tmp_path):
    status, out, _ = installed("import viba_lib; print(viba_lib.__file__)", cwd=tmp_path)
    assert status == 0 and not Path(out).is_relative_to(ROOT)
    video = read_video(source_path(QUICK_FILES[0], fetched[0]), max_frames=8)
    clip = write_video(tmp_path / "clip.mp4", video.frames, video.rate)
    roots = ["--data-root", fetched[0].absolute(), "--results-root", fetched[1].absolute()]
    options = [*roots, "--profile", "tiny", "--max-frames", 2, "--out", tmp_path / "out"]
    status, _, said = installed(VIBA, "explain", clip, *options, cwd=tmp_path)
    assert status == 0, said[-2000:]
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_what_needs_another_package_says_which_extra_has_it(installed, tmp_path):
    for command in (("book",), ("chapter", "01"), ("bench", "book")):
        status, _, said = installed(VIBA, *command, cwd=tmp_path)
        assert status == 2 and "Traceback" not in said, said[-2000:]
        assert "install the package with its extra `book`" in said
