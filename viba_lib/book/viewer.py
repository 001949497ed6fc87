"""Data of the book's viewer: pictures of frames and maps, and a manifest that names them.

The page `book/viewer.md` shows them without a server. It is opened from files too, where a browser
refuses `fetch`: so the manifest is a script that assigns JSON to a global.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd

from viba_lib.baselines.explainers import VIBA
from viba_lib.core.cache import code_hash
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import SPATIAL, TEMPORAL
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.faithfulness import mass_inside
from viba_lib.experiments.benchmark.maps import maps_of
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.explain_video import check_folder
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import colours, scale_maximum

DATA = "viewer-data.js"
GLOBAL = "VIBA_VIEWER"
CLIPS, FRAMES = 4, 8  # at most, of a viewer and of a clip
SIDE = 224  # pixels of a picture
BUDGET = 4_000_000  # bytes of all pictures
QUALITIES = (78, 70, 62, 54, 46, 38, 30, 20)  # of WebP, the first that fits the budget
CYAN = (0, 229, 255)  # truth has this colour in every figure of the book
KINDS = ("real", "spatial", "temporal", "fake")
TITLES = {"real": "Real", "spatial": "Spatial fake", "temporal": "Temporal fake", "fake": "Fake"}
TWO_PARTS = ("eyes_brows", "nose_cheeks", "chin_neck")

GRAD_CAM, GRAD_CAM_PLUS = "Grad-CAM", "Grad-CAM++"
# A late layer beside the paper's; each further one costs as many maps again.
LATE = {"xception": "block12", "flow-vgg11": "features.16"}
METHODS: dict[str, dict[str, Any]] = {
    VIBA: {
        "id": "viba",
        "name": "VIBA (per-sample bottleneck)",
        "unit": "bits per pixel",
        "about": "In bits: how much information about each place the prediction needs.",
    },
    GRAD_CAM: {
        "id": "grad-cam",
        "name": GRAD_CAM,
        "unit": "",
        "about": "Without a unit: only places within the clip can be compared, and shares.",
    },
    GRAD_CAM_PLUS: {
        "id": "grad-cam-pp",
        "name": GRAD_CAM_PLUS,
        "unit": "",
        "about": "Without a unit: each frame's map is scaled to a maximum of 1.",
    },
}
ABOUT = {
    "xception": {"name": "Xception (one face)", "input": "face crop"},
    "flow-vgg11": {"name": "VGG11 (motion)", "input": "optical flow in colour"},
}
Pictures = dict[str, np.ndarray]  # by file name: (S, S, 3) RGB or (S, S, 4) RGBA, uint8
Series = tuple[str, str]  # method, layer


@dataclass(frozen=True)
class _Views:
    """Maps (T, S, S) of one detector by video and by method and layer, and what it was shown."""

    rows: pd.DataFrame
    in_scope: dict[str, bool]
    maps: dict[str, dict[Series, np.ndarray]]


def _kind(method: str) -> str:
    known = {**dict.fromkeys(SPATIAL, "spatial"), **dict.fromkeys(TEMPORAL, "temporal"), "": "real"}
    return known.get(method, "fake")


def clips_in_scope(study: Study) -> pd.DataFrame:
    """Test clips with the mean p(fake) of the detectors whose scope they are in.

    Returns
    -------
    video_id, label, method, kind, take (the real video that a fake was made of, or itself), p_fake,
    error (distance to the label), wrong.
    """
    found = pd.concat([study.predictions(name) for name in DETECTORS])
    found = found[(found.split == "test") & found.in_scope]
    names = {"label": "first", "method": "first", "original": "first", "p_fake": "mean"}
    clips = found.groupby("video_id", sort=True).agg(names).reset_index()
    clips["method"] = clips.method.where(clips.label == 1, "")
    clips["kind"] = clips.method.map(_kind)
    clips["take"] = clips.original.where(clips.label == 1, clips.video_id)
    clips["error"] = (clips.label - clips.p_fake).abs()
    return clips.assign(wrong=clips.error >= 0.5)


def choose_clips(clips: pd.DataFrame, most: int = CLIPS) -> list[str]:
    """Videos of `clips_in_scope` to show: one of each kind, then those with the greatest error.

    Of a kind, one that is told right comes first, of the same take as the others if there is one,
    so that the same seconds can be seen real and fake. Mistakes are shown as well.
    """
    chosen: dict[str, str] = {}
    takes: set[str] = set()
    # A fake first: every take has a real video, but not each kind of fake.
    for kind in ("spatial", "temporal", "fake", "real"):
        part = clips[clips.kind == kind].assign(far=lambda p: ~p["take"].isin(takes))
        for row in part.sort_values(["wrong", "far", "video_id"]).head(1).itertuples():
            chosen[kind] = str(row.video_id)
            takes.add(str(row.take))
    first = [chosen[kind] for kind in KINDS if kind in chosen][:most]
    rest = clips[~clips.video_id.isin(first)]
    rest = rest.sort_values(["error", "video_id"], ascending=[False, True])
    return [*first, *rest.video_id.head(most - len(first)).astype(str)]


def viewer_rows(study: Study, most: int = CLIPS, frames: int = FRAMES) -> pd.DataFrame:
    """Rows of `Study.frames` that the viewer shows: clip after clip, up to `frames` of each.

    Raises
    ------
    VibaError
        No test clip was prepared.
    """
    rows, parts = study.frames("test"), []
    for video in choose_clips(clips_in_scope(study), most):
        part = rows[rows.video_id == video].sort_values("frame")
        at = np.linspace(0, len(part) - 1, min(frames, len(part))).round().astype(int)
        parts.append(part.iloc[at])
    if not parts:
        raise VibaError("no test clip was prepared; the viewer needs one: see study.problems()")
    return pd.concat(parts, ignore_index=True)


# ---- maps --------------------------------------------------------------------------------------


def series_of(study: Study, detector: str, in_scope: bool) -> list[Series]:
    """Methods and layers that are shown of a detector.

    On a kind of fake that a detector is not made for, its paper's layer and two methods do: they
    show that there is little to see.
    """
    paper, late = study.layer(detector), LATE[detector]
    if not in_scope:
        return [(VIBA, paper), (GRAD_CAM, paper)]
    return [(VIBA, paper), (VIBA, late), (GRAD_CAM, paper), (GRAD_CAM, late),
            (GRAD_CAM_PLUS, paper)]  # fmt: skip


def _keys(rows: Any) -> list[tuple[str, int]]:
    return [(str(v), int(p)) for v, p in zip(rows.video_id, rows.position, strict=True)]


def _explained(study: Study, detector: str, layer: str, rows: pd.DataFrame) -> np.ndarray:
    """Maps (T, S, S) of the bottleneck; those that the chapters have are not made again."""
    done: dict[tuple[str, int], np.ndarray] = {}
    if layer == study.layer(detector):
        known = study.explanations(detector)
        facts = known[["video_id", "position"]].to_dataframe()
        done = dict(zip(_keys(facts), known.relevance.values, strict=True))
    rest = rows[[key not in done for key in _keys(rows)]]
    if len(rest):
        found = study.explain(detector, rest, layer)
        done |= zip(_keys(rest), found.relevance.values, strict=True)
    return np.stack([done[key] for key in _keys(rows)])


def _maps(study: Study, detector: str, series: Series, rows: pd.DataFrame) -> np.ndarray:
    method, layer = series
    if method == VIBA:
        return _explained(study, detector, layer, rows)
    return np.asarray(maps_of(study, detector, rows, method, layer).maps.values)


def _views(study: Study, detector: str, rows: pd.DataFrame) -> _Views:
    predicted = study.predictions(detector)[["video_id", "position", "p_fake", "in_scope"]]
    joined = rows.merge(predicted, on=["video_id", "position"], validate="one_to_one")
    maps: dict[str, dict[Series, np.ndarray]] = {str(v): {} for v in joined.video_id.unique()}
    # All clips of a series at once: what a method builds before its first frame is built once.
    for in_scope, part in joined.groupby("in_scope"):
        for series in series_of(study, detector, bool(in_scope)):
            found = _maps(study, detector, series, part.reset_index(drop=True))
            for video in part.video_id.unique():
                maps[video][series] = found[(part.video_id == video).to_numpy()]
    judges = joined.groupby("video_id").in_scope.first()
    return _Views(joined, {str(k): bool(v) for k, v in judges.items()}, maps)


# ---- pictures ----------------------------------------------------------------------------------


def _sized(image: np.ndarray) -> np.ndarray:
    small = image.shape[1] < SIDE
    how = cv2.INTER_CUBIC if small else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=how))


def region(mask: np.ndarray) -> np.ndarray:
    """Pixels of a soft mask (S, S) that count as inside: above half of its maximum."""
    return np.asarray((mask > 0.5 * mask.max()) & (mask > 0))


def outline(mask: np.ndarray) -> np.ndarray:
    """Outline (SIDE, SIDE, 4) of a mask (S, S): cyan on a dark seam, transparent elsewhere."""
    size = (SIDE, SIDE)
    inside = region(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)).astype(np.uint8)
    lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = np.zeros((SIDE, SIDE, 4), np.uint8)
    # The seam keeps the line apart from bright places of the map.
    for colour, width in (((0, 0, 0, 255), 4), ((*CYAN, 255), 2)):
        cv2.drawContours(drawn, lines, -1, colour, width)
    return drawn


def encode(picture: np.ndarray, quality: int) -> bytes:
    """A picture (H, W, 3 or 4) uint8 as WebP; one with transparency loses nothing."""
    clear = picture.shape[2] == 4
    order = cv2.COLOR_RGBA2BGRA if clear else cv2.COLOR_RGB2BGR
    setting = [cv2.IMWRITE_WEBP_QUALITY, 101 if clear else quality]
    done, data = cv2.imencode(".webp", cv2.cvtColor(picture, order), setting)
    if not done:
        raise VibaError(f"a picture of shape {picture.shape} could not be encoded as WebP")
    return bytes(data)


def encode_all(pictures: Pictures, budget: int = BUDGET) -> dict[str, bytes]:
    """Pictures as WebP, of the best quality that fits into `budget` bytes.

    Raises
    ------
    VibaError
        The lowest quality does not fit.
    """
    size = 0
    for quality in QUALITIES:
        found = {name: encode(picture, quality) for name, picture in pictures.items()}
        size = sum(map(len, found.values()))
        if size <= budget:
            return found
    raise VibaError(f"{len(pictures)} pictures have {size} bytes, more than {budget}: show fewer")


def _keep(pictures: Pictures, name: str, images: Iterator[np.ndarray]) -> list[str]:
    """Add a clip's pictures; returns their file names."""
    names = []
    for number, image in enumerate(images):
        names.append(f"{name}-{number}.webp")
        pictures[names[-1]] = image
    return names


# ---- manifest ----------------------------------------------------------------------------------


def _number(value: float, digits: int) -> float | None:
    """A number of a manifest; what JSON has no word for is null."""
    return round(float(value), digits) if math.isfinite(value) else None


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def _id(text: str) -> str:
    return text.lower().replace(".", "-")


def _series_entry(
    series: Series, maps: np.ndarray, images: np.ndarray, regions: np.ndarray, name: str,
    pictures: Pictures,
) -> dict[str, Any]:  # fmt: skip
    """One method at one layer on one clip: its pictures, its scale and its numbers."""
    method, layer = series
    top = scale_maximum(maps)
    stem = f"{name}-{METHODS[method]['id']}-{_id(layer)}"
    drawn = (colours(_sized(i), m, top) for i, m in zip(images, maps, strict=True))
    inside = [
        mass_inside(m, r) if r.any() else math.nan for m, r in zip(maps, regions, strict=True)
    ]
    return {
        "method": METHODS[method]["id"],
        "layer": layer,
        "pictures": _keep(pictures, stem, drawn),
        "top": _significant(top),
        "bits": [_number(m.sum(), 1) for m in maps] if method == VIBA else None,
        "inside": [_number(x, 4) for x in inside],
    }


def _detector_entry(
    study: Study, detector: str, views: _Views, video: str, name: str, pictures: Pictures
) -> dict[str, Any]:
    """One detector on one clip."""
    rows = views.rows[views.rows.video_id == video]
    images = study.images(detector, rows)
    regions = np.stack([region(mask) for mask in study.masks(detector, rows)])
    stem = f"{name}-{detector}"
    shown = [_sized(i) for i in images] if detector != "xception" else []
    return {
        "in_scope": views.in_scope[video],
        "p_fake": [_number(p, 4) for p in rows.p_fake],
        "inputs": _keep(pictures, f"{stem}-input", iter(shown)) or None,
        "area": [_number(r.mean() if r.any() else math.nan, 4) for r in regions],
        "series": [
            _series_entry(series, maps, images, regions, stem, pictures)
            for series, maps in views.maps[video].items()
        ],
    }


def _clip_entry(
    study: Study, views: Mapping[str, _Views], video: str, number: int, pictures: Pictures
) -> dict[str, Any]:
    """One clip: its frames, their truth, and what each detector makes of them."""
    rows = views[next(iter(DETECTORS))].rows
    rows = rows[rows.video_id == video]
    first, name = rows.iloc[0], f"c{number}"
    clip = study.clip(video)
    masks = clip.masks[rows.position.to_numpy()]
    paths = study.catalog().set_index("video_id").path
    with VideoReader(study.catalog_root() / paths[video]) as reader:
        rate = reader.rate
    originals = (_sized(face) for face in clip.faces[rows.position.to_numpy()])
    truth = (outline(m) for m in masks) if masks.any() else iter(())
    return {
        "id": video,
        "title": _title(first),
        "fake": bool(first.label),
        "frames": [int(i) for i in rows.frame],
        "seconds": [round(int(i) / rate, 3) for i in rows.frame],
        "originals": _keep(pictures, f"{name}-original", originals),
        "truth": _keep(pictures, f"{name}-truth", truth) or None,
        "detectors": {
            detector: _detector_entry(study, detector, of_one, video, name, pictures)
            for detector, of_one in views.items()
        },
    }


def _said(name: str) -> str:
    """A planted method or region in words; names of two parts of the face join them."""
    return name.replace("_", " and " if name in TWO_PARTS else " ")


def _title(row: Any) -> str:
    method = str(row.method) if row.label else ""
    where = str(getattr(row, "region", "") or "")
    words = [_said(method), f"({_said(where)})" if where not in ("", method) else ""]
    said = " ".join(filter(None, words))
    return f"{TITLES[_kind(method)]}{': ' if said else ''}{said} – {row.video_id}"


def _layers(study: Study, detector: str) -> list[dict[str, Any]]:
    paper = study.layer(detector)
    return [{"id": n, "paper": n == paper} for n in dict.fromkeys((paper, LATE[detector]))]


def build_manifest(study: Study, rows: pd.DataFrame) -> tuple[dict[str, Any], Pictures]:
    """All that the page needs to know, and the pictures that it names.

    Parameters
    ----------
    rows : see `viewer_rows`
    """
    pictures: Pictures = {}
    views = {detector: _views(study, detector, rows) for detector in DETECTORS}
    clips = [
        _clip_entry(study, views, str(video), number, pictures)
        for number, video in enumerate(rows.video_id.unique())
    ]
    scale = mpl.colormaps["inferno"](np.linspace(0, 1, 9))
    manifest = {
        "version": 1,
        "profile": study.profile.name,
        "note": study.profile.note,
        "seed": study.seed,
        "side": SIDE,
        "colours": [mpl.colors.to_hex(c) for c in scale],
        "detectors": [
            {"id": name} | ABOUT[name] | {"layers": _layers(study, name)} for name in DETECTORS
        ],
        "methods": list(METHODS.values()),
        "clips": clips,
    }
    return manifest, pictures


def script(manifest: Mapping[str, Any]) -> str:
    """The manifest as a script; nothing in it can end the element that a page puts it in."""
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"window.{GLOBAL} = {text};\n"


def _stage(study: Study) -> Path:
    """Folder of a finished stage with the manifest and the pictures."""
    rows = viewer_rows(study)
    key = {
        "weights": [study.weights_path(name).parent.name for name in DETECTORS],
        "prepared": study.preparation_folder.name,
        "rows": rows[["video_id", "position"]].to_numpy().tolist(),
        "note": study.profile.note,
        "settings": asdict(study.profile.bottleneck),
        "evaluation": study.profile.evaluation.model_dump(),
        "passes": study.profile.comparison.passes,
        "seed": study.seed,
        "code": code_hash("book.viewer", "visual.overlay", "bottleneck", "baselines",
                  "experiments.benchmark.maps", "evaluation.faithfulness"),
    }  # fmt: skip

    def compute(folder: Path) -> None:
        study.progress(f"viewer: {rows.video_id.nunique()} clips, {len(rows)} frames")
        manifest, pictures = build_manifest(study, rows)
        for name, data in encode_all(pictures).items():
            (folder / name).write_bytes(data)
        (folder / DATA).write_text(script(manifest), encoding="utf-8")

    return study.stage("viewer", key, compute)


def write_viewer(study: Study, folder: Path) -> Path:
    """Write the data of the page `book/viewer.md`: `viewer-data.js` and the pictures it names.

    Parameters
    ----------
    folder : receives them, and loses those of an earlier run; it becomes `_static/viewer` of the
        book

    Returns
    -------
    The path of `viewer-data.js`.

    Raises
    ------
    VibaError
        A file where the folder should be, or no test clip.
    """
    folder = Path(folder)
    check_folder(folder)
    done = _stage(study)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.webp"), folder / DATA):
        old.unlink(missing_ok=True)
    # The manifest last: a page never names pictures that are not there yet.
    for path in (*sorted(done.glob("*.webp")), done / DATA):
        shutil.copyfile(path, folder / path.name)
    return folder / DATA
