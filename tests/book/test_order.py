"""Numbers of chapters: in file names, in `_toc.yml` and wherever a text names a chapter."""

import re
from collections.abc import Iterator

import yaml

from viba_lib.book import chapters, paths
from viba_lib.experiments.claims import CLAIMS

TOC = yaml.safe_load((paths.ROOT / "_toc.yml").read_text(encoding="utf-8"))
STEMS = [source.stem for source in chapters.chapters()]
NUMBERED = [stem for stem in STEMS if stem not in chapters.UNNUMBERED]
# A number of a chapter in prose: not in `viba chapter 05`, nor of a chapter of a cited book.
TYPED = re.compile(r"(?<!viba )(?<!\d{4}, )\b[Cc]hapters? \d+(?:(?: to |, | and )\d+)*")
PAGES = ("book/**/*.md", "notebooks/*.py", "book/_ext/*.jinja", "book/_static/viewer.js")
LIBRARY = ("viba_lib/**/*.py", "viba_lib/experiments/tables/open_choices.yaml")
READ = ("*.md", "Makefile", ".github/workflows/*.yml")  # without a build that could number


def texts(*patterns: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file."""
    for path in (p for pattern in patterns for p in sorted(paths.ROOT.glob(pattern))):
        yield path.relative_to(paths.ROOT).as_posix(), path.read_text(encoding="utf-8")


def listed(numbered: bool) -> list[str]:
    """Files of the parts of the book whose pages are numbered, or of the others."""
    parts = [part for part in TOC["parts"] if bool(part.get("numbered")) == numbered]
    return [entry["file"] for part in parts for entry in part["chapters"]]


def test_numbered_pages_are_the_chapters_in_the_order_of_their_files():
    assert listed(numbered=True) == [f"notebooks/{stem}" for stem in NUMBERED]
    assert [int(stem[:2]) for stem in NUMBERED] == list(range(1, len(NUMBERED) + 1))


def test_notebooks_without_a_number_are_pages_without_one():
    assert set(chapters.UNNUMBERED) <= set(STEMS)
    assert {f"notebooks/{stem}" for stem in chapters.UNNUMBERED} <= set(listed(numbered=False))


def test_the_front_page_leads_to_chapter_one():
    assert TOC["parts"][0]["chapters"][0]["file"] == f"notebooks/{NUMBERED[0]}"


def test_no_number_is_typed_where_the_build_has_one():
    """Pages link with {doc}; docstrings name the file of a chapter."""
    found = [(n, m[0]) for n, text in texts(*PAGES, *LIBRARY) for m in TYPED.finditer(text)]
    assert found == []


def test_other_files_name_numbers_that_chapters_have():
    numbers = {str(number) for number in range(1, len(NUMBERED) + 1)}
    typed = [(n, m[0]) for n, text in texts(*READ) for m in TYPED.finditer(text)]
    assert typed and [x for x in typed if not set(re.findall(r"\d+", x[1])) <= numbers] == []


def test_claims_name_the_number_of_their_chapter():
    for name, claim in CLAIMS.items():
        text = f"{claim['tested']} {claim.get('why', '')}"
        typed = {int(n) for m in TYPED.finditer(text) for n in re.findall(r"\d+", m[0])}
        assert typed <= {int(n) for n in re.findall(r"^\d+", claim["chapter"])}, name


def test_chapters_that_are_named_exist():
    stem = re.compile(r"(?<!executed/)notebooks/([a-z0-9]\w*)|[`(](\d\d_[a-z]\w+)")
    for name, text in texts(*PAGES, *LIBRARY, *READ):
        named = {one or other for one, other in stem.findall(text)}
        assert named <= set(STEMS), name
        commands = set(re.findall(r"viba chapter ([\w]+)", text))
        assert commands <= {chapters.key_of(stem) for stem in STEMS}, name


def test_earlier_addresses_lead_to_chapters():
    config = yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))
    for old, new in config["sphinx"]["config"]["redirects"].items():
        assert old.removeprefix("notebooks/") not in STEMS
        assert new.partition(".html")[0] in STEMS


def test_equations_of_the_paper_are_called_so():
    """Equations of the book have the number of their chapter, such as (5.1)."""
    printed, named = r"\bEq\.\s\(\d\)", r"(?: and \(\d\))? of (?:# )?the paper"
    measured = (
        "viba_lib/evaluation/*.py",
        "viba_lib/experiments/**/*.py",
        "viba_lib/experiments/tables/*.yaml",
    )
    for name, text in texts("book/**/*.md", "notebooks/*.py", *measured):
        prose = re.sub(r"\n#? *", " ", text)
        assert len(re.findall(printed, prose)) == len(re.findall(printed + named, prose)), name
