"""Results of a run beside the answers of a quiz."""

import html


def answer_html(question: int, text: str) -> str:
    """The result of a run for a quiz question, closed until the reader opens it.

    Parameters
    ----------
    question : number of the question in its chapter
    text : plain text of `experiments.quiz_answers`
    """
    # The classes are those of the answers above it.
    return (
        '<details class="viba-answer sd-sphinx-override sd-dropdown sd-card sd-mb-3">'
        '<summary class="sd-summary-title sd-card-header"><span class="sd-summary-text">'
        f"Result of this run for question {question}</span></summary>"
        f'<div class="sd-summary-content sd-card-body"><p>{html.escape(text)}</p></div></details>'
    )
