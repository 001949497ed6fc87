"""Tables on a page: shown, linked to, and downloaded whole."""

import base64
import io
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from viba_lib.pipeline.study import Study
from viba_lib.visual.html_table import Link, chapter_link


@pytest.fixture
def study(tmp_path):
    return Study("tiny", tmp_path, tmp_path)


def test_the_download_holds_what_the_page_leaves_out(study):
    whole = pd.DataFrame({"name": ["a", "b"], "value": [0.12345, None], "more": [1, 2]})
    saved = study.save_table("things", whole, whole[["name", "value"]].round(2))
    page = BeautifulSoup(saved._repr_html_(), "html.parser")
    assert page.select_one("#things table") is not None
    cells = [[c.text for c in row.select("td")] for row in page.select("tbody tr")]
    assert cells == [["a", "0.12"], ["b", "n/a"]]
    link = page.select_one("a[download]")
    assert link["download"] == "things.csv"
    data = base64.b64decode(re.sub("^data:text/csv;base64,", "", link["href"]))
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(data)), whole)
    pd.testing.assert_frame_equal(pd.read_parquet(study.root / "tables" / "things.parquet"), whole)


def test_a_rounded_zero_has_no_sign(study):
    page = study.save_table("zero", pd.DataFrame({"value": [-0.004, 1.0]}).round(2))._repr_html_()
    assert [c.text for c in BeautifulSoup(page, "html.parser").select("td")] == ["0.0", "1.0"]


def test_a_sentence_replaces_a_table_and_keeps_its_place(study):
    frame = pd.DataFrame({"value": []})
    saved = study.save_table("none", frame, instead="Nothing has a <mask>.")
    page = BeautifulSoup(saved._repr_html_(), "html.parser")
    assert page.select_one("#none").text == "Nothing has a <mask>."
    assert not page.select("table, a") and saved.path.is_file()


def test_what_comes_from_outside_is_escaped(study):
    bad = "<script>alert(1)</script>"
    shown = pd.DataFrame({"method": [bad], "see": [Link("here & <b>", 'x.html#"><script>')]})
    frame = shown.drop(columns="see")
    page = study.save_table("bad", frame, shown.set_index("method", drop=False))._repr_html_()
    assert "<script>" not in page and "<b>" not in page
    assert BeautifulSoup(page, "html.parser").select_one("td a").text == "here & <b>"


def test_groups_keep_their_index(study):
    frame = pd.DataFrame({"kind": list("aab"), "n": [1, 2, 3]})
    page = study.save_table("groups", frame, frame.groupby("kind").sum())._repr_html_()
    assert [h.text for h in BeautifulSoup(page, "html.parser").select("tbody th")] == ["a", "b"]


def test_links_to_chapters_have_their_number_or_their_name():
    assert chapter_link("05_injection_layer") == Link("ch. 5", "05_injection_layer.html")
    assert chapter_link("10_human_agreement", "table_4").href == "10_human_agreement.html#table_4"
    assert chapter_link("speed") == Link("speed", "speed.html")
