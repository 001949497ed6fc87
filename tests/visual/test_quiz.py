"""Results beside quiz answers: closed, and plain text."""

from bs4 import BeautifulSoup

from viba_lib.visual.quiz import answer_html


def test_a_result_is_closed_and_escaped() -> None:
    page = BeautifulSoup(answer_html(2, "p < 0.05 & more"), "html.parser")
    assert "open" not in page.details.attrs
    assert page.summary.text == "Result of this run for question 2"
    assert page.p.text == "p < 0.05 & more"
