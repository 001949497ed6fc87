"""Finished results of a map are kept and verified; damaged ones are computed again."""

import errno

import numpy as np
import pytest

from viba_lib.core.checkpoints import map_checkpointed


def test_damaged_checkpoints_are_computed_again(tmp_path):
    computed = []

    def double(item):
        computed.append(item)
        return {"x": np.array([item * 2])}

    def run():
        results = map_checkpointed(tmp_path, [1, 2, 3, 4], double, [1] * 4)
        return [int(arrays["x"][0]) for arrays in results]

    assert run() == [2, 4, 6, 8] and computed == [1, 2, 3, 4]
    computed.clear()
    short, changed = tmp_path / "000001.npz", tmp_path / "000002.npz"
    short.write_bytes(short.read_bytes()[:-7])
    data = bytearray(changed.read_bytes())
    data[60] ^= 1
    changed.write_bytes(data)
    (tmp_path / "000003.npz").unlink()
    assert run() == [2, 4, 6, 8]
    assert {2, 4} <= set(computed) and 1 not in computed


def test_a_failed_item_does_not_stop_the_others_but_a_full_disk_does(tmp_path):
    def bad(item):
        if item == 1:
            raise ValueError("one is bad")
        return {"x": np.array([item])}

    results = map_checkpointed(tmp_path / "a", [0, 1, 2], bad, [1] * 3)
    with pytest.raises(Exception, match="ValueError: one is bad"):
        results[1]
    assert str(results.failed[1]) == "ValueError: one is bad" and results[2]["x"] == [2]

    def full(item):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError):
        map_checkpointed(tmp_path / "b", [0, 1], full, [1] * 2)


def test_progress_counts_the_units_of_earlier_runs(tmp_path):
    lines = []

    def halt(item):
        if item == "c":
            raise KeyboardInterrupt
        return {"x": np.zeros(1)}

    given = (tmp_path, ["a", "b", "c"])
    with pytest.raises(KeyboardInterrupt):
        map_checkpointed(*given, halt, [5, 3, 2], lines.append, "frames")
    lines.clear()
    map_checkpointed(*given, lambda _: {"x": np.zeros(1)}, [5, 3, 2], lines.append, "frames")
    assert lines == ["frames: resumed at 8/10", "frames: 10/10"]
