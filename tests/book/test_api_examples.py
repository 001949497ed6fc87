"""The examples of the API reference run as they are printed, and every exported name is in it."""

import contextlib
import doctest
import importlib
import importlib.util
import inspect
import re
import warnings
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import roles
from docutils.utils import SystemMessage

FOLDER = Path(__file__).parents[2] / "book" / "api"
PAGES = sorted(FOLDER.glob("*.md"))
PACKAGES = ("bottleneck", "models", "evaluation", "baselines")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MARKUP = ("py", "obj", "fields", "raises")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DATA = re.compile(r"^\.\. py:data:: ([\w.]+)\n\n((?:   .*\n)+)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^\.\. (?:auto\w+|py:data):: ([\w.]+)", re.MULTILINE)


def examples(page: Path) -> doctest.DocTest:
    """All blocks of a page as one session; lines keep their numbers in the page."""
    text = page.read_text(encoding="utf-8")
    session, at = "", 0
    for block in _BLOCK.finditer(text):
        session += "\n" * text.count("\n", at, block.start(1)) + block[1]
        at = block.end(1)
    return doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0)


def documented() -> set[str]:
    """Full names of all that the pages document."""
    return {name for page in PAGES for name in _DIRECTIVE.findall(page.read_text(encoding="utf-8"))}


def value_of(name: str) -> object:
    """What a full name stands for."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test, report = examples(page), []
    assert test.examples, f"{page.name} has no example"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_each_example_has_prompts():
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            assert block.startswith(">>> "), f"{page.name}: a block without prompts is not tested"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_documented(package):
    module = importlib.import_module(f"viba_lib.{package}")
    wanted = {f"{module.__name__}.{name}" for name in module.__all__}
    assert not wanted - documented()


def test_every_documented_name_is_there_once():
    found = [n for page in PAGES for n in _DIRECTIVE.findall(page.read_text(encoding="utf-8"))]
    assert len(found) == len(set(found))
    for name in found:
        value_of(name)


def test_described_data_are_whole():
    blocks = [b for page in PAGES for b in _DATA.findall(page.read_text(encoding="utf-8"))]
    assert blocks
    for name, text in blocks:
        said = " ".join(text.split())
        assert [key for key in value_of(name) if key not in said] == [], name


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    """What Sphinx calls for each entry."""
    path = FOLDER.parent / "_ext" / "api_docstrings.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return extension


@pytest.fixture(scope="module")
def docstrings(extension) -> list[tuple[str, list[str], list[str]]]:
    """Name, docstring as written, and as Sphinx sees it, of all that the pages document."""
    found = []
    for name in sorted(documented()):
        whole = value_of(name)
        parts = vars(whole).items() if inspect.isclass(whole) else ()
        items = [("", whole), *((p, i) for p, i in parts if not p.startswith("_"))]
        for part, item in items:
            # Anything else shows the docstring of its type, which may be Python's own.
            if not isinstance(item, type | property | classmethod | cached_property | FunctionType):
                continue
            before = (inspect.getdoc(item) or "").splitlines()
            after = list(before)
            extension.process(None, "", name, item, None, after)
            found.append((f"{name}.{part}", before, after))
    return found


def test_no_word_of_a_docstring_is_lost(docstrings):
    for name, *versions in docstrings:
        words = [re.findall(r"\w+", "\n".join(lines).lower()) for lines in versions]
        kept = [[w for w in found if w not in MARKUP] for found in words]
        assert kept[0] == kept[1], name


def test_docstrings_are_valid_markup(docstrings):
    """The build of the pages stops at a warning, at the end of an hour."""
    roles.register_generic_role("py:obj", nodes.literal)
    for name, _, lines in docstrings:
        try:
            publish_doctree("\n".join(lines), settings_overrides={"halt_level": 2})
        except SystemMessage as error:
            pytest.fail(f"{name}: {error}")


def test_no_signature_names_the_machine(extension):
    """The check of the built pages refuses them, at the end of an hour."""
    for name in documented():
        whole = value_of(name)
        parts = vars(whole).values() if inspect.isclass(whole) else ()
        for item in (whole, *parts):
            if isinstance(item, FunctionType) or inspect.isclass(item):
                with contextlib.suppress(ValueError):  # a class of Python's own has none
                    plain = str(inspect.signature(item))
                    shown, _ = extension.shorten(None, "", name, item, None, plain, None)
                    assert str(FOLDER.parents[1]) not in shown, name
