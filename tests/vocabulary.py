"""Words that the prose of this project does not use: `python -m tests.vocabulary` in `make lint`.

`vocabulary.toml` lists the patterns with their replacements. Checked are Markdown pages, and the
comments, Markdown cells, docstrings and messages of Python files; code is not checked.
"""

import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_suffix(".toml")
FILES = ("*.md", "book/**/*.md", "notebooks/*.py", "viba_lib/**/*.py", "viba_lib/**/*.yaml")
CODE = "\0"  # stands for code, so that no pattern matches across it

# Code without a role before it, addresses, targets of links and roles.
INLINE = re.compile(r"(?<![}`])``?[^`\n]+``?(?!`)|https?://\S+|(?<=\]\()[^)\n]*|<[^<>\n]*>")
FENCE = re.compile(r"\s*(```+)(.*)")  # of a block, which is code unless it is a directive with text
CODE_BLOCK = re.compile(r"(?!\{)|\{(code|math|mermaid|eval-rst)")
STRING = re.compile(r"([a-z]*)('''|\"\"\"|'|\")(.*)\2", re.IGNORECASE | re.DOTALL)


class Finding(NamedTuple):
    """A word that the project does not use, and what to write instead."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}; write: {self.instead}"


def rules() -> dict[str, Any]:
    """Content of `vocabulary.toml`."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


def pattern(text: str) -> re.Pattern:
    """The pattern, in which a space matches line breaks as well."""
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE)


def blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", CODE, match[0])


def prose(text: str, suffix: str) -> str:
    """The text with code blanked out; every character of prose keeps its position."""
    if suffix == ".py":
        text = python_prose(text)
    elif suffix == ".yaml":
        text = re.sub(r"^((?:[^#\n]|(?<=\S)#)*)(#?)", _yaml_code, text, flags=re.MULTILINE)
    return INLINE.sub(blank, without_code_blocks(text))


def without_code_blocks(text: str) -> str:
    """Markdown whose blocks of code are blanked out; blocks of directives, such as notes, stay."""
    lines = text.splitlines(keepends=True)
    blocks: list[tuple[str, bool]] = []  # open ones: their fence, and whether they are code
    for n, line in enumerate(lines):
        fence = FENCE.match(line)
        if blocks and (blocks[-1][1] or (fence and not fence[2].strip())):
            lines[n] = re.sub(r"[^\n]", CODE, line) if blocks[-1][1] else line
            if fence and fence[1] == blocks[-1][0] and not fence[2].strip():
                blocks.pop()
        elif fence:
            blocks.append((fence[1], bool(CODE_BLOCK.match(fence[2]))))
    return "".join(lines)


def _yaml_code(match: re.Match) -> str:
    return CODE * len(match[1]) + " " * len(match[2])


def python_prose(text: str) -> str:
    """Comments, and string literals of more than one word; code in f-strings is blanked out."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kept = [c if c.isspace() else CODE for c in text]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        if token.type == tokenize.COMMENT:
            said = re.sub(r"^[#:]+", lambda m: " " * len(m[0]), token.string)
        elif token.type == tokenize.STRING and (found := STRING.fullmatch(token.string)):
            content = found[3]
            if not re.search(r"\s", content.strip()):
                continue
            if "f" in found[1].lower():
                content = re.sub(r"\{[^{}]*\}", blank, content)
            said = " " * found.start(3) + content + " " * len(found[2])
        elif tokenize.tok_name[token.type] == "FSTRING_MIDDLE":  # Python 3.12 and newer
            said = token.string
        else:
            continue
        kept[start : start + len(said)] = said
    return "".join(kept)


def check(text: str, path: str, given: dict[str, Any]) -> list[Finding]:
    """Findings in a text; its path says how it is read and which quotations are allowed."""
    read = prose(text, Path(path).suffix)
    allowed = [
        span.span()
        for entry in given.get("allow", [])
        if entry["file"] == path
        for span in re.finditer(r"\s+".join(map(re.escape, entry["text"].split())), read)
    ]
    return sorted(
        Finding(path, 1 + read.count("\n", 0, m.start()), " ".join(m[0].split()), term["instead"])
        for term in given["term"]
        for m in pattern(term["find"]).finditer(read)
        if not any(first <= m.start() and m.end() <= last for first, last in allowed)
    )


def findings(given: dict[str, Any]) -> Iterator[Finding]:
    """Findings of the whole project."""
    for path in sorted({path for glob in FILES for path in ROOT.glob(glob)}):
        name = path.relative_to(ROOT).as_posix()
        yield from check(path.read_text(encoding="utf-8"), name, given)


def main() -> int:
    """Print the findings; 1 if there are any."""
    found = list(findings(rules()))
    for one in found:
        print(one)
    if found:
        print(
            f"{len(found)} expressions to replace. If one is a quotation or has another meaning, "
            f"add it to [[allow]] in {RULES.relative_to(ROOT).as_posix()}."
        )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
