"""A small tree of licensed data sets as a group with the licences has it on disk."""

import json
from pathlib import Path

import cv2
import numpy as np
import yaml

from viba_lib.core.download import source_path
from viba_lib.data.source_videos import default_files
from viba_lib.data.video import VideoReader, write_video
from viba_lib.pipeline.profiles import load_profile

SOURCES = ("WolfgangLanger_Pexels.mp4", "jwpIntro.mp4", "carphone_pristine.mp4", "single_face.mp4")
LENGTH = 64  # frames: `02_dataset_construction` degrades the first 60 of a video
PAIRS = (("000", "001"), ("001", "000"), ("002", "003"), ("003", "002"))


def small_frames(path: Path, width: int = 320) -> np.ndarray:
    """The first frames (T, H, width, 3) of a video."""
    with VideoReader(path) as video:
        frames = list(video.frames(range(LENGTH + 6)))
    height = round(width * frames[0].shape[0] / frames[0].shape[1]) // 2 * 2
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


def tree_of(root: Path) -> list[Path]:
    """Paths of 24 videos below the folders ff, celeb and dfdc, half of them fakes."""
    names = [f"ff/original_sequences/youtube/c23/videos/{a}.mp4" for a, _ in PAIRS]
    names += [f"ff/manipulated_sequences/Deepfakes/c23/videos/{a}_{b}.mp4" for a, b in PAIRS]
    people = [(int(a), int(b)) for a, b in PAIRS]
    names += [f"celeb/Celeb-real/id{a}_0000.mp4" for a, _ in people]
    names += [f"celeb/Celeb-synthesis/id{a}_id{b}_0000.mp4" for a, b in people]
    names += [
        f"dfdc/train/dfdc_train_part_0/{k}{n}.mp4" for k in ("real", "fake") for n in range(4)
    ]
    return [root / name for name in names]


def build_tree(root: Path, data_root: Path) -> Path:
    """Write the videos, the metadata and the file that names the folders; returns the latter."""
    files = {file.name: file for file in default_files("quick")}
    sources = [small_frames(source_path(files[name], data_root)) for name in SOURCES]
    for number, path in enumerate(tree_of(root)):
        start = number // len(sources)
        frames = sources[number % len(sources)][start : start + LENGTH]
        write_video(path, frames, 25, crf=20)
    reals = {f"real{n}.mp4": {"label": "REAL", "split": "train"} for n in range(4)}
    fakes = {
        f"fake{n}.mp4": {"label": "FAKE", "split": "train", "original": f"real{n}.mp4"}
        for n in range(4)
    }
    metadata = root / "dfdc" / "train" / "dfdc_train_part_0" / "metadata.json"
    metadata.write_text(json.dumps(reals | fakes))
    folders = root / "folders.yaml"
    folders.write_text("faceforensics: ff\ncelebdf: celeb\ndfdc: dfdc\n")
    return folders


def write_profile(path: Path) -> Path:
    """A profile smaller than tiny for a catalog, whose methods are not the planted ones."""
    content = load_profile("tiny").model_dump(mode="json")
    content |= {"name": "licensed", "dataset": {"kind": "catalog"}}
    content["xception"]["size"] = 64
    content["comparison"] |= {"frames": 1, "joint_frames": 2, "clip_frames": 5}
    for detector in ("xception", "flow"):
        content[detector]["methods"] = []
    path.write_text(yaml.safe_dump(content))
    return path
