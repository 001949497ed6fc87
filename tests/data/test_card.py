"""The data card says what the catalog holds."""

import pandas as pd
import pytest
import yaml

from viba_lib.book.paths import ROOT
from viba_lib.core.files import write_text
from viba_lib.data.card import data_card
from viba_lib.data.catalog import validate_catalog


@pytest.fixture
def catalog(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x" * 500_000)
    (tmp_path / "b.MP4").write_bytes(b"x" * 700_000)
    rows = [
        ("a", "a.mp4", "real", "", "p", "train", ""),
        ("b", "b.MP4", "fake", "swap", "p", "test", "a"),
        ("c", "gone.mp4", "fake", "lips|<b>x</b>", "", "test", ""),
    ]
    columns = ["video_id", "path", "label", "method", "identity", "split", "original"]
    return validate_catalog(pd.DataFrame(rows, columns=columns).assign(dataset="set"))


def test_numbers_come_from_the_catalog_and_its_files(catalog, tmp_path):
    card = data_card(catalog, tmp_path, "A set")
    assert card.startswith("# A set\n") and "3 videos of 1 data set(s), 1 known" in card
    assert "| set | .mp4 | 2 | 1 | 1.2 |" in card
    assert "| test | 2 | 0.5 | 0.0 | 0.5 | 0.5 |" in card
    assert "67% of the videos are fake" in card and "not known in 33%" in card
    assert "| set | not stated | not stated | 3 |" in card


def test_names_cannot_break_the_page(catalog, tmp_path):
    card = data_card(catalog, tmp_path)
    assert "<b>" not in card and "lips&#124;&#60;b&#62;x" in card


def test_names_are_no_templates_and_no_formulas(catalog, tmp_path):
    card = data_card(catalog.assign(dataset="{{ 7 * 7 }}", licence="$a$ _b_ ~~c~~"), tmp_path)
    assert not set("{}$~") & set(card) and "&#123;&#123; 7 &#42; 7 &#125;&#125;" in card
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "substitution" not in settings["parse"]["myst_enable_extensions"]


def test_a_preparation_is_counted(catalog, tmp_path):
    counts = pd.DataFrame({"what": ["frames kept"], "number": [3]})
    problems = pd.DataFrame({"video_id": ["c"], "stage": ["prepare"], "reason": ["no file"]})
    card = data_card(catalog, tmp_path, counts=counts, problems=problems)
    assert "| frames kept | 3 |" in card
    assert "| prepare | no file | 1 |" in card
    assert "Nothing was left out" in data_card(catalog, tmp_path, problems=problems[:0])


def test_the_file_is_whole(catalog, tmp_path):
    path = write_text(tmp_path / "new" / "card.md", data_card(catalog, tmp_path))
    assert path.read_text().startswith("# Data card") and len(list(path.parent.iterdir())) == 1
