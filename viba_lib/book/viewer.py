"""Data of the book's viewer: images of frames and maps, and a manifest that names them.

The page `book/viewer.md` shows them without a server. It is opened from files too, where a browser
refuses `fetch`: so the manifest is a script that assigns JSON to a global.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import yaml

from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.baselines.names import VIBA
from viba_lib.book import paths
from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.cache import Stage, Work
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import SPATIAL, TEMPORAL
from viba_lib.data.catalog import segment
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.faithfulness import mass_inside
from viba_lib.models.detectors import DETECTORS, Detector
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.run import WEIGHTS, statistics_file
from viba_lib.pipeline.select import select
from viba_lib.pipeline.stages import positions_of
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import colours, scale_maximum

DATA = "viewer-data.js"
GLOBAL = "VIBA_VIEWER"
PEOPLE, FRAMES = 4, 24  # at most: people of a viewer, frames of a clip
SIDE = 224  # pixels of an image
BUDGET = 4_000_000  # bytes of all images
QUALITIES = (78, 70, 62, 54, 46, 38, 30, 20)  # of WebP, the first that fits the budget
CYAN = (0, 229, 255)  # truth has this colour in every figure of the book
TITLES = {"real": "Real", "spatial": "Spatial fake", "temporal": "Temporal fake", "fake": "Fake"}
WORST = "Largest error of all other test clips"
TWO_PARTS = ("eyes_brows", "nose_cheeks", "chin_neck")
# A late layer beside the paper's; each further one costs as many maps again.
LATE = ("block12", "features.16")
GRAD_CAM, GRAD_CAM_PLUS = "Grad-CAM", "Grad-CAM++"
Images = dict[str, np.ndarray]  # by file name: (S, S, 3) RGB or (S, S, 4) RGBA, uint8
Series = tuple[str, str]  # method, layer


@dataclass(frozen=True)
class _View:
    """A detector, the shown frames with its decisions, and maps (S, S) by series and row."""

    detector: Detector
    rows: pd.DataFrame
    maps: Mapping[Series, Mapping[int, np.ndarray]]


# ---- selection ---------------------------------------------------------------------------------


def _category(method: str) -> str:
    known = {**dict.fromkeys(SPATIAL, "spatial"), **dict.fromkeys(TEMPORAL, "temporal"), "": "real"}
    return known.get(method, "fake")


def clips_in_scope(predictions: pd.DataFrame) -> pd.DataFrame:
    """Test clips with the mean p(fake) of the detectors whose scope they are in.

    Parameters
    ----------
    predictions : rows of `Study.predictions` of all detectors

    Returns
    -------
    video_id, label, method, category, take (the real video that a fake was made of, or itself),
    person (the take, where the catalog names nobody), p_fake, error (distance to the label), wrong.
    """
    found = predictions[(predictions.split == "test") & predictions.in_scope]
    names = dict.fromkeys(("label", "method", "original", "identity"), "first")
    names["p_fake"] = "mean"
    clips = found.groupby("video_id", sort=True).agg(names).reset_index()
    clips["method"] = clips.method.where(clips.label == 1, "")
    clips["category"] = clips.method.map(_category)
    clips["take"] = clips.original.where(clips.label == 1, clips.video_id)
    named = clips.identity.notna() & (clips.identity != "")
    clips["person"] = clips.identity.where(named, clips["take"])
    clips["error"] = (clips.label - clips.p_fake).abs()
    return clips.assign(wrong=clips.error >= 0.5)


def choose_clips(clips: pd.DataFrame, people: int = PEOPLE) -> dict[str, str]:
    """Videos of `clips_in_scope` to show, each with its heading in the list of clips.

    First, one clip of each category. A clip that is decided correctly comes first, and among those
    one of the same take as the others, so that the same seconds can be seen real and fake. Then,
    one fake of each further person, of up to `people`. Last, the clip with the greatest error of
    all others, because mistakes are shown as well.
    """
    found: dict[str, str] = {}
    # A fake first: every take has a real video, but not each category of fake.
    for category in ("spatial", "temporal", "fake", "real"):
        part = clips[clips.category == category]
        takes = clips["take"][clips.video_id.isin(found.values())]
        part = part.assign(far=~part["take"].isin(takes)).sort_values(["wrong", "far", "video_id"])
        if len(part):
            found[category] = str(part.video_id.iloc[0])
    first = [found[category] for category in TITLES if category in found]
    others = _of_further_people(clips, first, people)
    rest = clips[~clips.video_id.isin([*first, *others])]
    rest = rest.sort_values(["error", "video_id"], ascending=[False, True])
    person = clips.set_index("video_id").person
    worst = dict.fromkeys(rest.video_id.head(1).astype(str), WORST)
    return {video: f"Person {person[video]}" for video in (*first, *others)} | worst


def _of_further_people(clips: pd.DataFrame, shown: Sequence[str], people: int) -> list[str]:
    """A fake of each person of whom nothing is shown, until `people` people are."""
    seen = clips.person[clips.video_id.isin(shown)].unique()
    others = clips[(clips.label == 1) & ~clips.person.isin(seen)]
    others = others.sort_values(["person", "wrong", "video_id"]).drop_duplicates("person")
    return list(others.video_id.head(max(0, people - len(seen))).astype(str))


def viewer_rows(study: Study) -> pd.DataFrame:
    """Rows of `Study.frames` that the viewer shows: clip after clip, up to FRAMES of each.

    The column `group` is the heading of the clip in the list of clips.

    Raises
    ------
    VibaError
        No test clip was prepared.
    """
    predictions = pd.concat([study.predictions(name) for name in DETECTORS])
    groups = choose_clips(clips_in_scope(predictions))
    if not groups:
        raise VibaError("no test clip was prepared; the viewer needs one: see study.problems()")
    rows = study.frames("test")
    rows = select(rows[rows.video_id.isin(groups)], per_video=FRAMES)
    rows = rows.sort_values("video_id", key=lambda v: v.map(list(groups).index), kind="stable")
    return rows.assign(group=rows.video_id.map(groups))


# ---- maps --------------------------------------------------------------------------------------


def shown_layers(detector: Detector) -> tuple[str, str]:
    """The paper's layer of a detector and a late one."""
    late = [layer for layer in detector.layers if layer in LATE]
    return detector.layers[0], (late or detector.layers)[-1]


def series_of(detector: Detector, in_scope: bool) -> list[Series]:
    """Methods and layers that are shown of a detector.

    For a method of manipulation outside its scope, these are the paper's layer and two methods:
    they show that there is little to see.
    """
    paper, late = shown_layers(detector)
    if not in_scope:
        return [(VIBA, paper), (GRAD_CAM, paper)]
    return [(VIBA, paper), (VIBA, late), (GRAD_CAM, paper), (GRAD_CAM, late),
            (GRAD_CAM_PLUS, paper)]  # fmt: skip


def _view(
    clips: PreparedSet, table: pd.DataFrame, given: Mapping[str, Any],
    bottleneck: Mapping[str, Any], device: str,
) -> _View:  # fmt: skip
    """Decisions and maps of one detector, from its inputs; see `viewer_stage`."""
    detector: Detector = given["detector"]
    predicted = pd.read_parquet(given["predictions"] / "predictions.parquet")
    frame = ["video_id", "position"]
    rows = table.merge(predicted[[*frame, "p_fake", "in_scope"]], on=frame, validate="one_to_one")
    layers = shown_layers(detector)
    statistics = {n: LayerStatistics.load(given[n] / statistics_file(n)) for n in layers}
    model = detector.open(given["trained"] / WEIGHTS, device)
    network = Network(model, layers, statistics, dict(bottleneck))
    maps: dict[Series, dict[int, np.ndarray]] = {}
    # All clips of a series at once: what a method builds before its first frame is built once.
    for in_scope, part in rows.groupby("in_scope"):
        inputs = clips.inputs(detector, part)
        for method, layer in series_of(detector, bool(in_scope)):
            found = explain_with(method, network, inputs, seed=bottleneck["seed"], value=layer)
            maps.setdefault((method, layer), {}).update(zip(part.index, found, strict=True))
    return _View(detector, rows, maps)


# ---- images ------------------------------------------------------------------------------------


def _sized(image: np.ndarray) -> np.ndarray:
    interpolation = cv2.INTER_CUBIC if image.shape[1] < SIDE else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=interpolation))


def region(mask: np.ndarray) -> np.ndarray:
    """Pixels of a soft mask (S, S) that count as inside: above half of its maximum."""
    return np.asarray((mask > 0.5 * mask.max()) & (mask > 0))


def outline(mask: np.ndarray) -> np.ndarray:
    """Outline (SIDE, SIDE, 4) of a mask (S, S): cyan on a dark seam, transparent elsewhere."""
    size = (SIDE, SIDE)
    inside = region(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)).astype(np.uint8)
    lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = np.zeros((SIDE, SIDE, 4), np.uint8)
    # The seam separates the line from bright pixels of the map.
    for colour, width in (((0, 0, 0, 255), 4), ((*CYAN, 255), 2)):
        cv2.drawContours(drawn, lines, -1, colour, width)
    return drawn


def encode(image: np.ndarray, quality: int) -> bytes:
    """An image (H, W, 3 or 4) uint8 as WebP; with transparency the encoding is lossless."""
    clear = image.shape[2] == 4
    order = cv2.COLOR_RGBA2BGRA if clear else cv2.COLOR_RGB2BGR
    setting = [cv2.IMWRITE_WEBP_QUALITY, 101 if clear else quality]
    return bytes(cv2.imencode(".webp", cv2.cvtColor(image, order), setting)[1])


def encode_all(images: Images, budget: int = BUDGET) -> dict[str, bytes]:
    """Images as WebP, of the best quality that fits into `budget` bytes.

    Raises
    ------
    VibaError
        The lowest quality does not fit.
    """
    size = 0
    for quality in QUALITIES:
        found = {name: encode(image, quality) for name, image in images.items()}
        size = sum(map(len, found.values()))
        if size <= budget:
            return found
    raise VibaError(f"{len(images)} images have {size} bytes, more than {budget}: show fewer")


def _add(images: Images, name: str, new: Iterable[np.ndarray]) -> list[str]:
    """Add a clip's images; returns their file names."""
    added = {f"{name}-{number}.webp": image for number, image in enumerate(new)}
    images |= added
    return list(added)


# ---- manifest ----------------------------------------------------------------------------------


def _number(value: float, digits: int) -> float | None:
    """A number of a manifest; one that JSON cannot hold is null."""
    return round(float(value), digits) if math.isfinite(value) else None


def identifier(name: str) -> str:
    """A method or layer as part of file names: grad-cam-pp, features-9."""
    return name.lower().replace("++", "-pp").replace(".", "-")


def _series_entry(
    series: Series, maps: np.ndarray, shown: np.ndarray, regions: np.ndarray, name: str,
    images: Images,
) -> dict[str, Any]:  # fmt: skip
    """One method at one layer on one clip: its images, its scale and its numbers."""
    method, layer = series
    top = scale_maximum(maps)
    stem = f"{name}-{identifier(method)}-{identifier(layer)}"
    drawn = (colours(_sized(i), m, top) for i, m in zip(shown, maps, strict=True))
    pairs = zip(maps, regions, strict=True)
    return {
        "method": identifier(method),
        "layer": layer,
        "pictures": _add(images, stem, drawn),
        "top": float(f"{top:.3g}"),
        "bits": [_number(m.sum(), 1) for m in maps] if method == VIBA else None,
        "inside": [_number(mass_inside(m, r), 4) for m, r in pairs],
    }


def _detector_entry(
    clips: PreparedSet, view: _View, video: str, name: str, images: Images
) -> dict[str, Any]:
    """One detector on one clip."""
    rows = view.rows[view.rows.video_id == video]
    shown = clips.images(view.detector, rows)
    regions = np.stack([region(m) for m in clips.masks(view.detector, rows)])
    stem, in_scope = f"{name}-{view.detector.name}", bool(rows.in_scope.iloc[0])
    # The original already shows the face.
    inputs = [_sized(image) for image in shown] if view.detector.temporal else []
    series = []
    for which in series_of(view.detector, in_scope):
        maps = np.stack([view.maps[which][row] for row in rows.index])
        series.append(_series_entry(which, maps, shown, regions, stem, images))
    return {
        "in_scope": in_scope,
        "p_fake": [_number(p, 4) for p in rows.p_fake],
        "inputs": _add(images, f"{stem}-input", inputs) or None,
        "area": [_number(r.mean() if r.any() else math.nan, 4) for r in regions],
        "series": series,
    }


def _clip_entry(
    clips: PreparedSet, views: Mapping[str, _View], rows: pd.DataFrame, name: str, group: str,
    images: Images,
) -> dict[str, Any]:  # fmt: skip
    """One clip: its frames, their truth, and the results of each detector."""
    first = rows.iloc[0]
    video, positions = str(first.video_id), rows.position.to_numpy()
    clip, listed = clips.clip(video), clips.catalog.set_index("video_id")
    with VideoReader(*segment(listed.loc[video], clips.root)) as reader:
        rate = reader.rate
    originals = (_sized(face) for face in clip.faces[positions])
    masks = clip.masks[positions]
    truth = (outline(mask) for mask in masks) if masks.any() else ()
    return {
        "id": video,
        "title": _title(first),
        "group": group,
        "fake": bool(first.label),
        "frames": [int(i) for i in rows.frame],
        "seconds": [round(int(i) / rate, 3) for i in rows.frame],
        "originals": _add(images, f"{name}-original", originals),
        "truth": _add(images, f"{name}-truth", truth) or None,
        "detectors": {
            detector: _detector_entry(clips, view, video, name, images)
            for detector, view in views.items()
        },
    }


def _title(row: Any) -> str:
    """Title of a clip: its category, and its method and region in words."""
    method = str(row.method) if row.label else ""
    region = str(getattr(row, "region", "") or "")
    # The names of two parts of the face are joined by "and".
    words = [n.replace("_", " and " if n in TWO_PARTS else " ") for n in (method, region)]
    words[1] = f"({words[1]})" if region not in ("", method) else ""
    what = " ".join(filter(None, words))
    return f"{TITLES[_category(method)]}{': ' if what else ''}{what}"


def _about(detector: Detector) -> dict[str, Any]:
    paper, late = shown_layers(detector)
    layers = [{"id": layer, "paper": layer == paper} for layer in dict.fromkeys((paper, late))]
    return dict(id=detector.name, name=detector.title, input=detector.input_name, layers=layers)


def script(manifest: Mapping[str, Any]) -> str:
    """The manifest as a script; nothing in it can end the element that a page puts it in."""
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"window.{GLOBAL} = {text};\n"


# ---- stage -------------------------------------------------------------------------------------


def draw_viewer(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    rows: Sequence[tuple[str, int]],
    groups: Mapping[str, str],
    detectors: Sequence[str],
    bottlenecks: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Any],
    **given: Any,
) -> None:
    """Write the manifest of the viewer, `viewer-data.js`, and the images that it names.

    Parameters
    ----------
    rows : frames to show, clip after clip
    groups : heading in the list of clips, by video
    detectors : names of those that are shown
    bottlenecks : settings of the bottleneck of each detector
    about : what the page says of the run and the methods
    given : inputs of each detector, as `<name> <role>`, see `viewer_stage`
    """
    clips = PreparedSet(dataset, prepared, work)
    table = clips.rows(rows)
    work.progress(f"viewer: {table.video_id.nunique()} clips, {len(table)} frames")
    views = {}
    for name in detectors:
        roles = {key.split()[1]: value for key, value in given.items() if key.split()[0] == name}
        views[name] = _view(clips, table, roles, bottlenecks[name], work.device)
    images: Images = {}
    scale = mpl.colormaps["inferno"](np.linspace(0, 1, 9))
    parts = enumerate(table.groupby("video_id", sort=False))
    manifest = {
        "version": 2,
        **about,
        "side": SIDE,
        "colours": [mpl.colors.to_hex(c) for c in scale],
        "detectors": [_about(view.detector) for view in views.values()],
        "clips": [
            _clip_entry(clips, views, part, f"c{number}", groups[video], images)
            for number, (video, part) in parts
        ],
    }
    for name, data in encode_all(images).items():
        (folder / name).write_bytes(data)
    (folder / DATA).write_text(script(manifest), encoding="utf-8")


def viewer_stage(study: Study) -> Stage:
    """The data of the page `book/viewer.md` as a stage."""
    profile, stages = study.profile, study.stages
    inputs = dict(stages.data)
    for name in DETECTORS:
        detector = stages.detector(name)
        roles = {layer: stages.statistics(detector, layer) for layer in shown_layers(detector)}
        roles |= {"trained": stages.trained(detector), "predictions": stages.predictions(detector)}
        inputs[f"{name} detector"] = detector
        inputs |= {f"{name} {role}": value for role, value in roles.items()}
    texts = yaml.safe_load((paths.ROOT / "book/_ext/viewer.yaml").read_text(encoding="utf-8"))
    about = {"profile": profile.name, "note": profile.note, "seed": study.seed}
    rows = viewer_rows(study)
    settings = {
        "rows": positions_of(rows),
        "groups": dict(zip(rows.video_id, rows.group, strict=True)),
        "detectors": list(DETECTORS),
        "bottlenecks": {d: stages.bottleneck(stages.detector(d)) for d in DETECTORS},
        "about": about | texts,
    }
    return Stage("viewer", draw_viewer, settings, inputs)
