"""Memory of a build counts what it starts."""

import subprocess
import sys
from pathlib import Path

import psutil

from viba_lib.book.cost import MemorySampler, copy_sources

HOLD = "held = bytearray(300_000_000); print('held', flush=True); input()"


def test_memory_of_children_is_counted_and_the_peak_stays():
    with MemorySampler() as memory:
        alone = memory.peak
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-c", HOLD], **pipes) as child:
            assert child.stdout.readline() == "held\n"
            memory.sample()
            child.communicate("\n")
        memory.sample()
    assert alone > 10_000_000
    assert memory.peak - alone > 250_000_000


def test_what_processes_share_is_not_looked_for_below_the_peak(monkeypatch):
    sampler, looked = MemorySampler(), []
    find = psutil.Process.memory_full_info

    def noted(process):
        looked.append(process.pid)
        return find(process)

    monkeypatch.setattr(psutil.Process, "memory_full_info", noted)
    sampler.sample()
    assert looked and 0 < sampler.peak <= psutil.Process().memory_info().rss * 2
    looked.clear()
    sampler.peak = 10**12
    sampler.sample()
    assert not looked and sampler.peak == 10**12


def test_a_measured_build_imports_its_own_copy_in_every_folder(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    environment = copy_sources(copy)
    (tmp_path / "elsewhere").mkdir()
    code = "import viba_lib.book.paths as p; print(p.ROOT)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path / "elsewhere", env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()) == copy.resolve()
