"""Sphinx extension: the library's docstrings, as its API pages show them.

Sections are NumPy's, but the text after `name :` is a description, often a shape, and no type that
could be looked up. So each section becomes a list of fields here, and napoleon is not needed.
"""

import re
from collections.abc import Iterator
from typing import Any

_SECTION = re.compile(r"(Parameters|Attributes|Returns|Yields|Raises)$")
_ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*)(?: : (?P<text>.*))?$")
# Typographic quotes would spoil a value; a name becomes a link where its entry is on these pages.
_WORD = re.compile(r"(?<![\w`=])\"([^\s\"`]*)\"(?![\w`])")
_NAME = re.compile(r"(?<![`:\w])`([A-Za-z_][\w.]*)`(?!`)")
_FIELD = re.compile(r"\w+(?:, \w+)* : ")


def process(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Rewrite a docstring in place."""
    found = (_WORD.sub(r'``"\1"``', line) for line in _rewritten(lines))
    lines[:] = [_NAME.sub(r":py:obj:`\1`", line) for line in found]


def shorten(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, signature: str | None, back: Any
) -> tuple[str | None, Any]:
    """A signature without what says nothing, or is said elsewhere: functions, paths, settings."""
    if signature:
        signature = re.sub(r"\w+Path\('[^']*'\)", "...", signature)
        signature = re.sub(r"<function [^>]*<lambda>>|<factory>", "...", signature)
        signature = re.sub(r"=\w+Settings\(([^()]|\([^()]*\))*\)", "=...", signature)
    return signature, back


def _rewritten(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        section = _SECTION.match(lines[at])
        if section and at + 1 < len(lines) and re.fullmatch("-+", lines[at + 1]):
            end = _end(lines, at + 2, section[1])
            yield from _fields(section[1], lines[at + 2 : end])
            at = end
        elif _FIELD.match(lines[at]) and (not at or not lines[at - 1]):
            end = next((i for i in range(at, len(lines)) if not lines[i]), len(lines))
            yield from _fields("Fields", lines[at:end])
            at = end
        else:
            yield lines[at]
            at += 1


def _end(lines: list[str], start: int, section: str) -> int:
    """Where a section ends: at the next one, or at a paragraph that is none of its entries."""
    for at in range(start, len(lines)):
        if _SECTION.match(lines[at]) and at + 1 < len(lines) and lines[at + 1].startswith("---"):
            return at
        prose = lines[at] and not lines[at][0].isspace() and not lines[at - 1]
        if at > start and prose and (section == "Returns" or not _ENTRY.match(lines[at])):
            return at
    return len(lines)


def _fields(section: str, lines: list[str]) -> Iterator[str]:
    yield ""
    if section in ("Returns", "Yields") and not _FIELD.match(lines[0]):
        yield f":{section}:"
        yield from (f"    {line}" for line in lines)
    elif section == "Raises":
        for line in lines:
            yield f":raises {line}:" if line and not line[0].isspace() else line
    else:
        yield f":{section}:"
        for line in lines:
            entry = _ENTRY.match(line)
            if entry:
                names = ", ".join(f"**{name}**" for name in entry["names"].split(", "))
                yield f"    * {names} --"
                if entry["text"]:
                    yield f"      {entry['text']}"
            else:
                # Continuations stand four in, below a bullet at four and its text at six.
                yield f"      {line.removeprefix('    ')}"
    yield ""


def setup(app: Any) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", shorten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
