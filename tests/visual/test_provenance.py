"""Banner, provenance and stored tables of a page."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.visual import provenance
from viba_lib.visual.provenance import banner_html, commit, provenance_html, save_table


def test_only_the_papers_videos_have_no_banner():
    assert banner_html("paper", "licensed data", licensed=True) == ""
    assert "<code>paper</code>" in banner_html("paper", "licensed data")
    found = banner_html("quick", "a <few> clips")
    assert "<code>quick</code>" in found and "a &lt;few&gt; clips" in found
    assert "Its results" not in found
    assert "Its results come from 1 test person, 2 videos." in banner_html(
        "quick", "a note", "1 test person, 2 videos"
    )


def test_provenance_is_escaped_and_mappings_are_one_line():
    found = provenance_html({"commit": "abc", "seed": 0, "versions": {"torch": 2, "a<b": 1}})
    assert "<tr><th>commit</th><td>abc</td></tr>" in found
    assert "<tr><th>versions</th><td>torch 2, a&lt;b 1</td></tr>" in found


def test_a_commit_is_unknown_without_git(monkeypatch):
    assert commit() and "\n" not in commit()
    monkeypatch.setenv("PATH", "")
    assert commit() == "unknown"


def test_a_table_is_stored_twice_and_shown_once(tmp_path):
    frame = pd.DataFrame({"video": ["a", "b"], "value": [0.1, np.nan]})
    table = save_table(tmp_path / "tables", "tab-values", frame, frame.head(1))
    pd.testing.assert_frame_equal(pd.read_parquet(table.path), frame)
    pd.testing.assert_frame_equal(pd.read_csv(table.path.with_suffix(".csv")), frame)
    assert len(table.shown) == 1 and "Download tab-values.csv" in table._repr_html_()
    assert sorted(p.name for p in table.path.parent.iterdir()) == [
        "tab-values.csv", "tab-values.parquet"]  # fmt: skip


def test_a_stored_table_survives_an_error(tmp_path, monkeypatch):
    frame = pd.DataFrame({"value": [1]})
    save_table(tmp_path, "tab", frame)

    def fails(self, path, **options):
        path.write_text("half")
        raise OSError

    monkeypatch.setattr(provenance.pd.DataFrame, "to_csv", fails)
    with pytest.raises(OSError):
        save_table(tmp_path, "tab", frame + 1)
    assert (tmp_path / "tab.csv").read_text() == "value\n1\n"
