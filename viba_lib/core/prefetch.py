"""Items that are made while others are used."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Generator[T, None, None]:
    """Items in their order; a thread makes the next one while the caller uses the last.

    Parameters
    ----------
    items : each in memory of its own; they are made one at a time, and one is kept in advance

    To close the generator waits for the item that is being made, so that what it is made from can
    be closed after it.
    """
    rest, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, rest, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, rest, end)
            yield item  # type: ignore[misc]
