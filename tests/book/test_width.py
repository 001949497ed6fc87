"""Code that a chapter shows fits into the column of the page."""

import jupytext
import pytest

from viba_lib.book.chapters import chapters

WIDTH = 79  # notebooks/ruff.toml
HIDDEN = {"remove-cell", "remove-input"}


def too_wide(path) -> list[str]:
    """Lines of shown code wider than a page, without the comments that explain parameters."""
    found = []
    for cell in jupytext.read(path).cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not tags & HIDDEN:
            lines = cell.source.splitlines()
            if "parameters" in tags:
                lines = [line.split("  #")[0] for line in lines]
            found += [line for line in lines if len(line) > WIDTH]
    return found


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_no_shown_line_is_wider_than_the_page(path):
    assert too_wide(path) == [], "wrap these lines"


def test_the_check_finds_wide_lines(tmp_path):
    wide, path = f'x = "{"a" * 75}"', tmp_path / "chapter.py"
    cells = [f"# %%{tags}\n{wide}\n" for tags in ("", ' tags=["remove-input"]', " [markdown]")]
    path.write_text("\n".join(["# %%\nx = 1\n", *cells]), encoding="utf-8")
    assert too_wide(path) == [wide]
