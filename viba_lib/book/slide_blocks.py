"""The parts of an executed chapter from which slides are made: texts, formulas, lists, figures."""

import ast
import base64
import html
import io
import mimetypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image, UnidentifiedImageError

from viba_lib.book import paths
from viba_lib.book.exercises import tagged
from viba_lib.book.roles import without_roles
from viba_lib.book.students import without_solutions

IMAGES = ("image/svg+xml", "image/png", "image/jpeg")
LONG_FORMULA = 150  # characters of TeX
_OPTIONS = re.compile(r"\A(?::[\w-]+:.*\n?)+")


@dataclass(frozen=True)
class Block:
    """One part of a chapter.

    kind is heading, text, formula, list, table, code, figure, reading, question, answer, section
    or aside. html is its content; title is the text of a heading or section, the caption of a
    figure, the language of code or the number of a question; items are the items of a list or the
    rows of a table, whose head is html; blocks are the content of a section.
    """

    kind: str
    html: str = ""
    title: str = ""
    items: tuple[str, ...] = ()
    blocks: tuple["Block", ...] = ()


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.use(dollarmath_plugin, double_inline=True).use(amsmath_plugin)
    reader.add_render_rule("math_inline", lambda s, t, i, o, e: rf"\({html.escape(t[i].content)}\)")
    for rule in ("math_block", "math_inline_double", "amsmath", "math_block_label"):
        reader.add_render_rule(rule, lambda s, t, i, o, e: _display(t[i].content))
    for rule in ("link_open", "link_close"):  # a slide shows the text of a link
        reader.add_render_rule(rule, lambda s, t, i, o, e: "")
    return reader


def _display(formula: str) -> str:
    """A formula on a line of its own, in smaller letters if it is long."""
    formula = formula.strip()
    long = ' class="long"' if len(formula) > LONG_FORMULA else ""
    return rf"<div{long}>\[{html.escape(formula)}\]</div>"


_READER = _reader()


def chapter_blocks(notebook: Any) -> Iterator[Block]:
    """Parts of an executed chapter without its solutions, in their order."""
    inside = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text, inside = without_solutions(cell.source, inside)
            yield from text_blocks(text)
        elif not inside and not any(tagged(cell, tag) for tag in ("solution", "check")):
            if writes_out(cell):
                yield Block("code", cell.source, "python")
            if not tagged(cell, "remove-output"):
                yield from _outputs(cell)


def writes_out(cell: Any) -> bool:
    """Whether a cell writes a computation out, so that it belongs on a slide.

    Such cells are tagged `decisive`, or have no tag and define functions without the library.
    """
    if tagged(cell, "decisive"):
        return True
    if cell.metadata.get("tags") or "mystnb" in cell.metadata or "viba_lib" in cell.source:
        return False
    try:
        return any(isinstance(node, ast.FunctionDef) for node in ast.parse(cell.source).body)
    except SyntaxError:  # commands of IPython
        return False


def text_blocks(text: str) -> Iterator[Block]:
    """Parts of a Markdown cell."""
    text = re.sub(r"<!--.*?-->", "", without_roles(text), flags=re.DOTALL)
    text = re.sub(r"(?m)^\([\w-]+\)=\n", "\n", text)
    tokens = _READER.parse(text)
    starts = [i for i, t in enumerate(tokens) if t.level == 0 and t.nesting >= 0]
    for first, last in pairwise([*starts, len(tokens)]):
        yield from _block(tokens[first:last])


def _block(tokens: Sequence[Token]) -> Iterator[Block]:
    """The part that the tokens of one top-level element are."""
    kind = tokens[0].type
    if kind == "heading_open":
        yield Block("heading", title=tokens[1].content)
    elif kind == "paragraph_open":
        yield _paragraph(_inline(tokens))
    elif kind in ("bullet_list_open", "ordered_list_open"):
        inner = [i for i, t in enumerate(tokens) if t.type == "list_item_open" and t.level == 1]
        items = (_inline(tokens[a:b]) for a, b in pairwise([*inner, len(tokens)]))
        yield Block("list", tokens[0].tag, items=tuple(items))
    elif kind == "table_open":
        yield table_block(_render(tokens))
    elif kind == "fence":
        yield from _fence(tokens[0].info.strip(), tokens[0].content)
    elif kind.startswith(("math_block", "amsmath")):
        yield Block("formula", _render(tokens))
    elif kind == "blockquote_open":
        yield Block("aside", _render(tokens))


def _render(tokens: Sequence[Token]) -> str:
    return str(_READER.renderer.render(tokens, _READER.options, {}))


def _inline(tokens: Sequence[Token]) -> str:
    """Content of the paragraphs among tokens."""
    return " ".join(_render([token]) for token in tokens if token.type == "inline")


def _paragraph(content: str) -> Block:
    question = re.fullmatch(r"<strong>(\d+)\. (.+)</strong>", content, re.DOTALL)
    if question:
        return Block("question", f"<strong>{question[2]}</strong>", question[1])
    return Block("text", content)


def table_block(page: str) -> Block:
    """A table by its head and its rows."""
    table = BeautifulSoup(page, "html.parser").select_one("table")
    assert isinstance(table, Tag)
    for link in table.select("a"):
        link.unwrap()
    head = "".join(map(str, table.select("thead > tr")))
    return Block("table", head, items=tuple(map(str, table.select("tbody > tr"))))


def _fence(info: str, content: str) -> Iterator[Block]:
    """The part that a directive or a code block is."""
    directive = re.fullmatch(r"\{([\w:-]+)\}\s*(.*)", info)
    if not directive:
        yield Block("code", content.strip("\n"), info)
        return
    name, title = directive.groups()
    options, body = _OPTIONS.match(content), _OPTIONS.sub("", content)
    if name == "math":
        yield Block("formula", _display(body))
    elif name == "figure":
        yield from _image_file(title, options[0] if options else "", body)
    elif name == "exercise":
        yield Block("section", title=f"Exercise: {title}", blocks=tuple(text_blocks(body)))
    elif name == "dropdown" and title.startswith("Answer"):
        yield Block("answer", " ".join(b.html for b in text_blocks(body) if b.kind == "text"))
    elif name == "admonition" and title == "What you need first":
        yield Block("aside", f"<p><strong>{title}</strong></p>{_READER.render(body)}")
    elif name not in ("raw", "solution-start", "solution-end"):
        yield Block("section", title=title, blocks=tuple(text_blocks(body)))


def _image_file(path: str, options: str, caption: str) -> Iterator[Block]:
    file = (paths.NOTEBOOKS / path).resolve()
    if file.is_file():
        alt = re.search(r"(?m)^:alt: (.*)$", options)
        kind = mimetypes.guess_type(file.name)[0] or ""
        data = base64.b64encode(file.read_bytes()).decode()
        text = " ".join(b.html for b in text_blocks(caption) if b.kind == "text")
        yield Block("figure", _image(kind, data, alt[1] if alt else ""), text)


def _image(kind: str, data: str, alt: str) -> str:
    tall = ' class="tall"' if kind != "image/svg+xml" and _is_tall(data) else ""
    text = html.escape(alt, quote=True)
    return f'<img{tall} src="data:{kind};base64,{data.strip()}" alt="{text}">'


def _is_tall(data: str) -> bool:
    """Whether an image is at least as high as it is wide."""
    try:
        width, height = Image.open(io.BytesIO(base64.b64decode(data))).size
    except UnidentifiedImageError:
        return False
    return height >= width


def _outputs(cell: Any) -> Iterator[Block]:
    meta = cell.metadata.get("mystnb", {})
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        kind = next((name for name in IMAGES if name in data), None)
        if kind and "figure" in meta:
            image = data[kind]
            if kind == "image/svg+xml":
                image = base64.b64encode(image.encode()).decode()
            (caption,) = [*text_blocks(meta["figure"].get("caption", "")), Block("text")][:1]
            yield Block("figure", _image(kind, image, meta["image"]["alt"]), caption.html)
        elif "text/html" in data:
            yield from _html_output(data["text/html"])


def _html_output(text: str) -> Iterator[Block]:
    """Parts of HTML that a chapter computed: sliders, videos, banners, tables and readings."""
    page = BeautifulSoup(text, "html.parser")
    if sliders := page.select_one("figure.viba-play"):
        # The first image: a slide has no room for more.
        image, caption = sliders.select_one("img"), sliders.select_one("figcaption")
        yield Block("figure", str(image), caption.decode_contents() if caption else "")
    elif video := page.select_one("video"):
        yield Block("figure", str(video), html.escape(str(video.get("aria-label", ""))))
    elif banner := page.select_one(".viba-banner"):
        title, *rest = banner.select("p")
        blocks = [Block("text", paragraph.decode_contents()) for paragraph in rest]
        yield Block("section", title=title.get_text(), blocks=tuple(blocks))
    elif page.select_one("table.dataframe"):
        yield table_block(text)
    elif text.startswith("<p>") or page.select_one(".viba-table > p"):
        for paragraph in page.select("p:not(.viba-download)"):
            yield Block("reading", paragraph.decode_contents())
