"""Sliders on a page: every setting has an image, and the text belongs to the image."""

import base64
import json

import pytest
from bs4 import BeautifulSoup

from viba_lib.core.errors import VibaError
from viba_lib.visual import data_figures
from viba_lib.visual.slider import SliderFigure


def render(first_value, second):
    return data_figures.gaussian_pair(first_value, second)


def describe(first_value, second):
    return f"Mean {first_value}, standard deviation {second} <b>"


@pytest.fixture
def figure():
    settings = {"first_value": [0.0, 1.0, 2.0], "second": [0.5, 1.0]}
    return SliderFigure("fig-slider", render, settings, describe, "Caption <i>", {"first_value": 0})


def test_every_combination_is_rendered_once(figure):
    page = BeautifulSoup(figure._repr_html_(), "html.parser")
    data = json.loads(page.select_one('script[type="application/json"]').string)
    assert len(data["images"]) == len(data["alts"]) == 6
    assert len(set(data["images"])) == 6
    png = [base64.b64decode(p.split(",")[1]) for p in data["images"]]
    assert all(p.startswith(b"\x89PNG") for p in png)
    assert data["alts"][3] == describe(1.0, 1.0)
    assert data["values"] == [["0", "1", "2"], ["0.5", "1"]]


def test_the_page_shows_the_start_and_names_its_sliders(figure):
    page = BeautifulSoup(figure._repr_html_(), "html.parser")
    assert page.select_one("img")["alt"] == describe(0.0, 1.0)
    assert page.select_one("[role=status]").text == describe(0.0, 1.0)
    names = {label["for"]: label.text for label in page.select("label")}
    sliders = page.select("input[type=range]")
    assert [names[s["id"]] for s in sliders] == ["first value", "second"]
    assert [(s["max"], s["value"]) for s in sliders] == [("2", "0"), ("1", "1")]
    assert page.select_one("b") is None and page.select_one("i") is None


def test_the_image_of_the_start_is_shown_first(figure):
    page = BeautifulSoup(figure._repr_html_(), "html.parser")
    data = json.loads(page.select_one('script[type="application/json"]').string)
    assert page.select_one("img")["src"] == data["images"][1]


def test_two_pages_are_the_same(figure):
    assert figure._repr_html_() == figure._repr_html_()


@pytest.mark.parametrize("settings", [{}, {"a": []}, {"a": range(11), "b": range(11)}])
def test_too_few_or_too_many_settings_are_refused(settings):
    with pytest.raises(VibaError, match="images"):
        SliderFigure("fig-x", render, settings, describe, "c")


def test_live_sliders_render_when_they_move():
    seen = []

    def record(first_value, second):
        seen.append((first_value, second))

    settings = {"first_value": [0.0, 1.0, 2.0], "second": [0.5, 1.0]}
    live = SliderFigure("fig-live", record, settings, describe, "c", {"first_value": 0}).live()
    first, second = live.children[:2]
    assert [first.description, second.description] == ["first value", "second"]
    assert [first.value, second.value] == [0.0, 1.0]
    first.value = 2.0
    second.value = 0.5
    assert seen[-2:] == [(2.0, 1.0), (2.0, 0.5)]
