"""Memory of a build counts what it starts."""

import subprocess
import sys

import psutil

from viba_lib.book.cost import MemorySampler

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
