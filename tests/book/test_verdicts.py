"""No chapter types a verdict: they come from `evaluation.sentences`, which knows the evidence."""

import ast
import re

import jupytext
import pytest

from viba_lib.book.chapters import chapters

# In code, any such word in a text that is shown.
IN_CODE = re.compile(
    r"\b(significant(ly)?|reproduced|contradicts?|supports|outperforms?|better|worse|first in)\b",
    re.IGNORECASE,
)
# In prose, a result that is stated without a run.
IN_PROSE = re.compile(
    r"\b(this run|the bottleneck|viba|the detector)s?\s+(clearly |significantly )?"
    r"(supports|contradicts|reproduces|outperforms|wins|beats|confirms|is (significantly|clearly))"
    r"|\b(are|is) (significantly|clearly) (better|worse|higher|lower)\b",
    re.IGNORECASE,
)


def texts_of(code: str) -> list[str]:
    """Texts in a cell, without those of figures' captions and alternative texts."""
    lines = [line for line in code.splitlines() if not line.startswith(("%", "!"))]
    nodes = ast.walk(ast.parse("\n".join(lines)))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def typed_verdicts(path) -> list[str]:
    found = []
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            shown = "parameters" not in cell.metadata.get("tags", [])
            found += [t for t in texts_of(cell.source) if shown and IN_CODE.search(t)]
        else:
            found += [m.group(0) for m in IN_PROSE.finditer(" ".join(cell.source.split()))]
    return found


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_no_chapter_types_a_verdict(path):
    assert typed_verdicts(path) == []


def test_the_check_finds_typed_verdicts(tmp_path):
    path = tmp_path / "chapter.py"
    path.write_text(
        "# %% [markdown]\n# This run supports the\n# paper, and maps are clearly better.\n\n"
        '# %%\nx = 1\nprint(f"VIBA is better than {x}")\nprint("a table")\n'
    )
    assert typed_verdicts(path) == [
        "This run supports",
        "are clearly better",
        "VIBA is better than ",
    ]
