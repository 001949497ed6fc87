"""The source videos of the default data set, as `source_videos.yaml` lists them."""

import shutil
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter

from viba_lib.core.download import PackagedFile
from viba_lib.core.errors import VibaError

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, kw_only=True)
class SourceVideo(PackagedFile):
    """A video or photograph of a published package, the person it shows, and this person's split.

    quick : whether the quick profile uses it; grid : photographs in a row and in a column of an
    image, 0 for a video
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    sha256: Sha256
    archive_sha256: Sha256
    identity: str
    split: Literal["train", "val", "test"]
    quick: bool = False
    grid: Annotated[int, Field(ge=0)] = 0


def read_source_videos(text: str) -> tuple[SourceVideo, ...]:
    """Source videos of a YAML text: `videos`, which share the fields of their `packages`.

    Raises
    ------
    VibaError
        Not of this form, or a person in two splits.
    """
    try:
        content = yaml.safe_load(text)
        entries = [content["packages"][entry["package"]] | entry for entry in content["videos"]]
        videos = TypeAdapter(tuple[SourceVideo, ...]).validate_python(entries)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise VibaError(f"the list of source videos is wrong: {error}") from error
    people = {(video.identity, video.split) for video in videos}
    if len(people) > len({identity for identity, _ in people}):
        raise VibaError("the list of source videos has a person in two splits; expected one")
    return videos


STANDARD_FILES = read_source_videos(
    resources.files("viba_lib.data").joinpath("source_videos.yaml").read_text(encoding="utf-8")
)
GENERATED = frozenset(video.identity for video in STANDARD_FILES if video.grid)  # no real people
QUICK_FILES = tuple(video for video in STANDARD_FILES if video.quick)


def default_files(which: str = "quick") -> tuple[SourceVideo, ...]:
    """Videos of the quick or the standard profile; those from npm only if npm is installed.

    Raises
    ------
    VibaError
        Another name.
    """
    if which not in ("quick", "standard"):
        raise VibaError(f"sources {which!r} are not known; choose quick or standard")
    if which == "quick":
        return QUICK_FILES
    has_npm = shutil.which("npm") is not None
    return tuple(f for f in STANDARD_FILES if has_npm or f.registry != "npm")
