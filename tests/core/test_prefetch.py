import threading

import pytest

from viba_lib.core.prefetch import prefetched


def test_the_next_item_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in prefetched(items()):
        assert all(event.wait(60) for event in made[: number + 2])
    assert list(prefetched([])) == []
    assert list(prefetched([None, 0])) == [None, 0]


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("full")

    rest = prefetched(items())
    assert next(rest) == 1
    with pytest.raises(OSError, match="full"):
        next(rest)


def test_closing_waits_for_the_item_that_is_being_made():
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def items():
        yield 1
        begun.set()
        assert go_on.wait(60)
        ended.set()
        yield 2

    rest = prefetched(items())
    assert next(rest) == 1 and begun.wait(60)
    threading.Timer(0.05, go_on.set).start()
    rest.close()
    assert ended.is_set()
