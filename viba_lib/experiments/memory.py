"""Functions whose memory is measured in a process of their own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Result = TypeVar("Result")


def run_in_new_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Result of a function that runs in a new process, whose memory nothing else has used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
