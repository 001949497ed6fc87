"""The pinned list of source videos."""

import shutil

import pytest
import yaml

from viba_lib.core.errors import VibaError
from viba_lib.data.source_videos import (
    QUICK_FILES,
    STANDARD_FILES,
    default_files,
    read_source_videos,
)
from viba_lib.models.keras_xception import KERAS_XCEPTION

ENTRY = {
    "name": "a.mp4", "package": "x", "member": "x/a.mp4", "sha256": "0" * 64, "identity": "p",
    "split": "train", "origin": "made", "licence": "MIT",
}  # fmt: skip
PACKAGES = {"x": {"version": "1", "archive_sha256": "1" * 64}}


def listed(*entries: dict) -> str:
    return yaml.safe_dump({"packages": PACKAGES, "videos": list(entries)})


def test_a_video_has_the_fields_of_its_package() -> None:
    (video,) = read_source_videos(listed(ENTRY))
    assert (video.version, video.archive_sha256, video.registry) == ("1", "1" * 64, "pip")
    assert video.identity == "p" and not video.quick


@pytest.mark.parametrize(
    "wrong",
    [
        {"package": "y"},
        {"sha256": "0" * 63},
        {"split": "training"},
        {"colour": "red"},
        {"quick": "often"},
        {"identity": None},
    ],
)
def test_wrong_entries_are_refused(wrong: dict) -> None:
    with pytest.raises(VibaError, match="list of source videos is wrong"):
        read_source_videos(listed(ENTRY, ENTRY | wrong))
    with pytest.raises(VibaError, match="list of source videos is wrong"):
        read_source_videos("- a")


def test_a_person_in_two_splits_is_refused() -> None:
    with pytest.raises(VibaError, match="person in two splits"):
        read_source_videos(listed(ENTRY, ENTRY | {"split": "test"}))


def test_other_names_of_sources_are_refused() -> None:
    with pytest.raises(VibaError, match="'Quick' are not known; choose quick or standard"):
        default_files("Quick")


def test_npm_is_needed_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    without = tuple(file for file in STANDARD_FILES if file.registry == "pip")
    assert default_files("standard") == without and set(QUICK_FILES) < set(without)
    assert default_files("quick") == QUICK_FILES
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/npm")
    assert default_files("standard") == STANDARD_FILES


def test_pinned_sources_are_complete_and_share_no_identity() -> None:
    hashes = [f.sha256 for f in (*STANDARD_FILES, KERAS_XCEPTION)]
    assert all(len(h) == 64 for h in hashes) and len(set(hashes)) == len(hashes)
    splits: dict[str, set[str]] = {}
    for file in STANDARD_FILES:
        splits.setdefault(file.identity, set()).add(file.split)
        assert file.licence and file.origin
    assert all(len(found) == 1 for found in splits.values())
    assert {f.split for f in QUICK_FILES} == {"train", "val", "test"}
