"""Sliders on a page: every setting is there, the text goes with the picture."""

import base64
import json
import re

import pytest
from bs4 import BeautifulSoup

from viba_lib.core.errors import VibaError
from viba_lib.visual import data_figures
from viba_lib.visual.slider import Play


def draw(first_value, second):
    return data_figures.gaussian_pair(first_value, second)


def says(first_value, second):
    return f"Mean {first_value}, spread {second} <b>"


@pytest.fixture
def play():
    settings = {"first_value": [0.0, 1.0, 2.0], "second": [0.5, 1.0]}
    return Play("fig-play-test", draw, settings, says, "Caption <i>", {"first_value": 0})


def test_every_combination_is_drawn_once(play):
    page = BeautifulSoup(play._repr_html_(), "html.parser")
    data = json.loads(page.select_one('script[type="application/json"]').string)
    assert len(data["pictures"]) == len(data["alts"]) == 6
    assert len(set(data["pictures"])) == 6
    png = [base64.b64decode(p.split(",")[1]) for p in data["pictures"]]
    assert all(p.startswith(b"\x89PNG") for p in png)
    assert data["alts"][3] == says(1.0, 1.0)
    assert data["values"] == [["0", "1", "2"], ["0.5", "1"]]


def test_the_page_shows_the_start_and_names_its_sliders(play):
    page = BeautifulSoup(play._repr_html_(), "html.parser")
    assert page.select_one("img")["alt"] == says(0.0, 1.0)
    assert page.select_one("[role=status]").text == says(0.0, 1.0)
    names = {label["for"]: label.text for label in page.select("label")}
    sliders = page.select("input[type=range]")
    assert [names[s["id"]] for s in sliders] == ["first value", "second"]
    assert [(s["max"], s["value"]) for s in sliders] == [("2", "0"), ("1", "1")]
    assert page.select_one("b") is None and page.select_one("i") is None


def test_two_pages_are_the_same(play):
    assert play._repr_html_() == play._repr_html_()


@pytest.mark.parametrize("settings", [{}, {"a": []}, {"a": range(11), "b": range(11)}])
def test_too_little_or_too_much_is_refused(settings):
    with pytest.raises(VibaError, match="pictures"):
        Play("fig-x", draw, settings, says, "c")


def test_live_sliders_draw(play):
    assert re.search("Mean|gaussian|draw", repr(play.live()))
