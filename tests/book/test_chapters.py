"""Chapters as pairs, and the table of sources that is written with them."""

from viba_lib.book import chapters, paths
from viba_lib.data.source_videos import STANDARD_FILES


def test_the_table_of_sources_is_that_of_the_library():
    page = (paths.ROOT / "book" / "dataset.md").read_text(encoding="utf-8")
    assert chapters.with_sources(page) == page, "run `make notebooks`"
    assert page.count("SHA-256 `") == len(STANDARD_FILES) + 1
