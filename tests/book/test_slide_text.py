"""What fits on a slide: whole sentences, none lost, within the budget."""

import pytest

from viba_lib.book.slide_text import groups, opening, sentences, unfinished_end, words

TEXT = (
    'At \\(\\lambda = 0.5. \\) half passes, see Fig. 2 and Eq. (1). <strong>"No. It is!"</strong> '
    "It holds, e.g. for <em>r. s</em> (Schulz et al. 2020). Does it? xception: yes."
)


def test_sentences_end_outside_of_formulas_bold_text_and_abbreviations():
    found = sentences(TEXT)
    assert [s.strip()[:12] for s in found] == [
        "At \\(\\lambda", "<strong>&quo"[:8] + '"No.', "It holds, e.", "Does it?", "xception: ye"
    ]  # fmt: skip


@pytest.mark.parametrize("budget", range(40))
def test_nothing_is_lost_or_too_long(budget):
    shown, rest = opening(TEXT, budget)
    assert shown + rest == TEXT
    assert words(shown) <= budget
    assert shown == "" or sentences(TEXT)[: len(sentences(shown))] == sentences(shown)


def test_as_much_as_fits_is_shown():
    assert opening(TEXT, 60) == (TEXT, "")
    assert opening("One two. Three.", 2) == ("One two. ", "Three.")
    assert opening("One. Two. Three.", 60, 2) == ("One. Two. ", "Three.")
    assert opening("One two three.", 2) == ("", "One two three.")


def test_words_are_those_that_an_audience_sees():
    page = (
        '<h2>A &amp; B</h2><img alt="four words of alt" src="data:image/png;base64,AA">'
        "<pre>code code</pre><aside class='notes'>a secret <b>note</b></aside><p>last<br>one</p>"
    )
    assert words(page) == 5


def test_a_sentence_that_a_formula_completes():
    assert unfinished_end("First. The sum is") == ("First. ", "The sum is")
    assert unfinished_end("Two aims:") == ("", "Two aims:")
    assert unfinished_end("First. Last.") == ("First. Last.", "")
    assert unfinished_end('He said "so."') == ('He said "so."', "")


def test_groups_of_a_list():
    items = [f"<li>{'word ' * n}</li>" for n in (3, 3, 3, 3)]
    parts = groups(items, 9)
    assert [len(part) for part in parts] == [2, 2]  # greedy groups would have 3 and 1
    assert [item for part in parts for item in part] == items
    assert [len(part) for part in groups(items, 60, most=2)] == [2, 2]
    assert groups(["<li>too many words</li>"], 2) == [["<li>too many words</li>"]]
    assert groups([], 9) == []
    uneven = ["a b c d e f", "a b c", "a b c", "a b c"]
    assert all(words(" ".join(part)) <= 9 for part in groups(uneven, 9))
