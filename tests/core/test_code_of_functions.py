"""The code of functions that are imported: partial functions, other files, and prompts."""

from functools import partial
from pathlib import Path

import pytest

from viba_lib.core.code import code_key, reached
from viba_lib.core.files import file_sha256, write_text


def own(path: Path) -> str:
    return file_sha256(path)


def test_a_function_of_another_file_counts_with_what_it_reaches_in_the_library():
    found = reached(own)
    assert ("viba_lib.core.files", "file_sha256") in found
    assert ("viba_lib.core.files", "write_text") not in found


def test_a_partial_function_is_its_function():
    assert code_key(partial(own, Path("x"))) == code_key(own) != code_key(write_text)


def test_a_file_counts_with_all_of_its_code(tmp_path):
    path = write_text(tmp_path / "chapter.py", "# Prose.\nfrom math import pi\nprint(pi)\n")
    before = code_key(path)
    write_text(path, "# Other prose.\nfrom math import pi\nprint(pi)\n")
    assert code_key(path) == before
    write_text(path, "from math import pi\nprint(2 * pi)\n")
    assert code_key(path) != before


def test_a_function_without_a_file_is_refused():
    names: dict[str, object] = {"__name__": "prompt"}
    exec("def typed(): pass", names)
    with pytest.raises(TypeError, match=r"prompt\.typed is not defined in a file"):
        code_key(names["typed"])
