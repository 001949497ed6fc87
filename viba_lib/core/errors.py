"""The base class of errors that tell a user what to do next; the one of a missing package."""

from collections.abc import Iterator
from contextlib import contextmanager


class VibaError(ValueError):
    """Names the given value, the expected one and the next step, in one sentence or two."""


@contextmanager
def needed_package(extra: str = "") -> Iterator[None]:
    """Say how a package is installed whose import fails in this context.

    Parameters
    ----------
    extra : of this package; "" = it comes with the package itself
    """
    try:
        yield
    except ModuleNotFoundError as error:
        whole = f"viba[{extra}]" if extra else "viba"
        raise VibaError(
            f"this needs the package {error.name}, which is not installed; install it with "
            f"`pip install '{whole}'`"
        ) from error
