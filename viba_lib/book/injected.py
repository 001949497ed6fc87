"""Parameters that papermill injects into a chapter, checked by the chapter itself."""

from collections.abc import Sequence


def check_injected() -> None:
    """Check the parameters in the cell before this one, if papermill wrote it.

    papermill itself only warns about a parameter that a chapter does not have, and takes any value.

    Raises
    ------
    VibaError
        A parameter that the chapter does not have, or a wrong value.
    """
    import __main__

    cells: Sequence[str] = getattr(__main__, "In", ())
    # The cell of defaults, papermill's, which begins with this comment, and the current one.
    if len(cells) > 2 and cells[-2].startswith("# Parameters\n"):
        # Imported here because it takes a second, and the book's own pages rarely need it.
        from viba_lib.book.parameters import check_values

        check_values(cells[-3], cells[-2], vars(__main__))
