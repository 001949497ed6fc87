"""Slides from the executed chapters: one for each section, figure, exercise and question.

They are plain HTML on reveal.js, which is staged from a package, so that they work from a folder.
"""

import base64
import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from viba_lib.book.paths import fill_template, package_folder
from viba_lib.book.roles import without_roles
from viba_lib.book.students import tagged, without_solutions


@dataclass
class Slide:
    """One slide: its title as text, its body as parts of HTML."""

    title: str
    parts: list[str] = field(default_factory=list)


def revealjs() -> dict[str, Path]:
    """Files of reveal.js by their name."""
    dist = package_folder("sphinx_revealjs") / "_static" / "revealjs" / "dist"
    return {name: dist / name for name in ("reset.css", "reveal.css", "reveal.js")}


def slides_page(notebook: Any) -> str:
    """The slides of an executed chapter, as an HTML page."""
    slides = _slides(notebook)
    shown = [{"title": s.title, "body": Markup("\n".join(s.parts))} for s in slides if s.parts]
    return fill_template("slides.html", title=slides[0].title, slides=shown)


def _slides(notebook: Any) -> list[Slide]:
    slides: list[Slide] = []
    inside = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text, inside = without_solutions(cell.source, inside)
            for block in re.split(r"(?m)^(?=#{1,3} )", text):
                _add_text(slides, block)
        elif not inside and slides and not tagged(cell, "solution"):
            _add_outputs(slides, cell)
    return slides


def _add_text(slides: list[Slide], block: str) -> None:
    heading = re.match(r"#{1,3} (.+)\n?", block)
    if heading:
        slides.append(Slide(without_roles(heading[1])))
        block = block[heading.end() :]
    if not slides or not block.strip() or slides[-1].title in ("References", "What next"):
        return
    if slides[-1].title == "Quiz":
        _add_questions(slides, block)
        return
    for name, body in re.findall(r"```\{exercise\} (.+)\n(?::.*\n)*([\s\S]*?)```", block):
        slides.append(Slide(f"Exercise: {without_roles(name)}", [_rendered(body)]))
    learn = re.search(r"```\{admonition\} What you will learn\n(?::.*\n)*([\s\S]*?)```", block)
    rest = re.sub(r"(?m)^```\{[\s\S]*?^```$", _math_only, block)
    first = _first(rest)
    if first:
        slides[-1].parts.append(_rendered(first))
    if learn:
        slides[-1].parts.append(_rendered(learn[1]))


def _math_only(found: re.Match[str]) -> str:
    math = re.match(r"```\{math\}\n(?::.*\n)*([\s\S]*?)```", found[0])
    return f"$$\n{math[1].strip()}\n$$" if math else ""


def _first(text: str) -> str:
    """The first paragraph, formulas and lists, because a slide has less room than a page."""
    kept, words = [], 0
    for part in re.split(r"\n\s*\n", text.strip()):
        part = part.strip()
        if not part or part.startswith(("<!--", "(", "|", "```", "#### ", ":::")):
            continue
        special = part.startswith(("$$", "- ", "* ", "1. "))
        if special or words == 0:
            kept.append(part)
            words += 0 if special else len(part.split())
    return "\n\n".join(kept)


def _add_questions(slides: list[Slide], block: str) -> None:
    found = re.findall(
        r"\*\*(\d+\. [\s\S]+?)\*\*\n([\s\S]*?)```\{dropdown\} Answer[^\n]*\n([\s\S]*?)```", block
    )
    for question, options, answer in found:
        hidden = f'<div class="fragment">{_rendered(answer)}</div>'
        slides.append(Slide(f"Quiz {without_roles(question)}", [_rendered(options), hidden]))


def _add_outputs(slides: list[Slide], cell: Any) -> None:
    meta = cell.metadata.get("mystnb", {})
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        mime = next((m for m in ("image/svg+xml", "image/png", "image/jpeg") if m in data), None)
        if mime and "figure" in meta:
            slides.append(Slide(slides[-1].title, [_figure(data[mime], mime, meta)]))
        elif 'class="viba-play"' in data.get("text/html", ""):
            # The sliders' first image: a slide has no room for more.
            page = BeautifulSoup(data["text/html"], "html.parser")
            shown = "".join(map(str, page.select("img, figcaption")))
            slides.append(Slide(slides[-1].title, [f"<figure>{shown}</figure>"]))
        elif data.get("text/html", "").startswith("<p>") and len(data["text/html"]) < 600:
            slides[-1].parts.append(data["text/html"])


def _figure(data: str, mime: str, meta: Any) -> str:
    if mime == "image/svg+xml":
        data = base64.b64encode(data.encode()).decode()
    alt = html.escape(meta.get("image", {}).get("alt", ""), quote=True)
    caption = _rendered(meta["figure"].get("caption", ""))
    source = f"data:{mime};base64,{data.strip()}"
    return f'<figure><img src="{source}" alt="{alt}"><figcaption>{caption}</figcaption></figure>'


def _rendered(text: str) -> str:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.use(dollarmath_plugin, double_inline=True).use(amsmath_plugin)
    reader.add_render_rule("math_inline", lambda s, t, i, o, e: rf"\({html.escape(t[i].content)}\)")
    for rule in ("math_block", "math_inline_double", "amsmath", "math_block_label"):
        reader.add_render_rule(
            rule, lambda s, t, i, o, e: rf"<div>\[{html.escape(t[i].content)}\]</div>"
        )
    return str(reader.render(without_roles(text)))
