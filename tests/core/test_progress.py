"""Progress lines: rare, complete, and with the time left."""

import pytest

from viba_lib.core.progress import ProgressLines, format_duration


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("viba_lib.core.progress.time.monotonic", lambda: now[0])
    return now


def test_lines_tell_the_time_left(clock):
    lines = []
    progress = ProgressLines(lines.append, "frames", 100, 20)
    for _ in range(4):
        clock[0] += 30
        progress.update(10)
    assert lines[0] == "frames: resumed at 20/100"
    assert lines[1] == "frames: 30/100, about 4 min left"
    assert lines[-1] == "frames: 60/100, about 2 min left"


def test_there_is_one_line_in_two_seconds_and_one_at_the_end(clock):
    lines = []
    progress = ProgressLines(lines.append, "frames", 100)
    for _ in range(100):
        clock[0] += 0.5
        progress.update()
    assert len(lines) == 25 and lines[-1] == "frames: 100/100"


def test_durations_have_a_unit():
    assert [format_duration(x) for x in (40, 200, 9000)] == ["40 s", "3 min", "2.5 h"]
