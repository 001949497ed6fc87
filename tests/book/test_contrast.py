"""Letters stand out from their ground, at least 4.5 to 1, in both themes."""

import re

import pytest
from matplotlib.colors import to_rgb

from viba_lib.book import paths
from viba_lib.visual import style

LEAST = 4.5  # WCAG 2.2, success criterion 1.4.3
STATIC = paths.ROOT / "book" / "_static"
LIGHT, DARK = "#ffffff", "#14181e"  # pages of the theme
LETTERS = ("text", "quiet", "focus")  # of the viewer


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def rules(name: str) -> list[tuple[str, str]]:
    """Selectors and declarations of a style sheet."""
    text = re.sub(r"/\*.*?\*/", "", (STATIC / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"([^{}]+)\{([^{}]+)\}", text)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.005)


def test_letters_of_figures():
    images = next(b for s, b in rules("custom.css") if 'theme="dark"] .bd-content img' in s)
    ground = re.search(r"background: (#\w+)", images)[1]
    assert min(contrast(style.INK, LIGHT), contrast(style.INK, ground)) >= LEAST


def test_letters_of_pages():
    found = [(s, c) for s, b in rules("custom.css") for c in re.findall(r"[^-]color: (#\w+)", b)]
    assert found
    for selector, colour in found:
        page = DARK if 'theme="dark"' in selector else LIGHT
        assert contrast(colour, page) >= LEAST, (selector, colour)


def test_letters_of_slides():
    found = [c for _, b in rules("slides.css") for c in re.findall(r"(?<!-)color: (#\w+)", b)]
    assert found and min(contrast(colour, LIGHT) for colour in found) >= LEAST


def test_letters_of_the_viewer():
    themes = [dict(re.findall(r"--vv-(\w+): (#\w+)", b)) for _, b in rules("viewer.css")]
    light, dark = (theme for theme in themes if theme)
    for theme in (light, dark):
        for name in LETTERS:
            for ground in ("ground", "raised"):
                assert contrast(theme[name], theme[ground]) >= LEAST, (name, ground)
