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
import torch
import yaml

from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.baselines.names import VIBA
from viba_lib.book import paths
from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.cache import Stage, Work
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import SPATIAL, TEMPORAL
from viba_lib.data.catalog import segment
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.faithfulness import inside_of, mass_inside
from viba_lib.models.detectors import DETECTORS, Detector
from viba_lib.models.training import predict
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.run import WEIGHTS, forward_of, statistics_file
from viba_lib.pipeline.stages import positions_of
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import colours, scale_maximum

DATA = "viewer-data.js"
GLOBAL = "VIBA_VIEWER"
PEOPLE, FRAMES = 4, 12  # at most: people of a viewer, consecutive frames of a clip
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
class _Result:
    """Results of a detector for a clip: p(fake) (T,) and maps (T, S, S) by series."""

    in_scope: bool
    p_fake: np.ndarray
    maps: Mapping[Series, np.ndarray]


Clips = Mapping[str, PreparedClip]  # by video


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
    """First row of `Study.frames` of each clip that the viewer shows.

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
    rows = study.frames("test").drop_duplicates("video_id").set_index("video_id", drop=False)
    return rows.loc[list(groups)].reset_index(drop=True).assign(group=list(groups.values()))


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


def _results(
    clips: Clips, given: Mapping[str, Any], bottleneck: Mapping[str, Any], precision: str,
    device: str,
) -> dict[str, _Result]:  # fmt: skip
    """Decisions and maps of one detector by video, from its inputs; see `viewer_stage`."""
    detector: Detector = given["detector"]
    predicted = pd.read_parquet(given["predictions"] / "predictions.parquet")
    scope = predicted.groupby("video_id").in_scope.first()
    layers = shown_layers(detector)
    statistics = {n: LayerStatistics.load(given[n] / statistics_file(n)) for n in layers}
    model = detector.open(given["trained"] / WEIGHTS, device)
    network = Network(model, layers, statistics, dict(bottleneck))
    forward = forward_of(detector, model, precision)
    found: dict[str, _Result] = {}
    # All clips of a series at once: what a method builds before its first frame is built once.
    for in_scope in (False, True):
        videos = [video for video in clips if scope[video] == in_scope]
        if not videos:
            continue
        parts = [detector.inputs(clips[video], None, detector.size) for video in videos]
        ends, inputs = np.cumsum([len(part) for part in parts])[:-1], torch.cat(parts)
        p_fake = np.split(predict(forward, inputs, device)[:, 1], ends)
        maps: dict[Series, list[np.ndarray]] = {}
        for method, layer in series_of(detector, in_scope):
            every = explain_with(method, network, inputs, seed=bottleneck["seed"], value=layer)
            maps[method, layer] = np.split(np.asarray(every), ends)
        for number, video in enumerate(videos):
            own = {series: values[number] for series, values in maps.items()}
            found[video] = _Result(in_scope, p_fake[number], own)
    return found


# ---- images ------------------------------------------------------------------------------------


def _sized(image: np.ndarray) -> np.ndarray:
    interpolation = cv2.INTER_CUBIC if image.shape[1] < SIDE else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=interpolation))


def outline(mask: np.ndarray) -> np.ndarray:
    """Outline (SIDE, SIDE, 4) of a mask (S, S): cyan on a dark seam, transparent elsewhere."""
    size = (SIDE, SIDE)
    inside = inside_of(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)).astype(np.uint8)
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
    clip: PreparedClip, detector: Detector, found: _Result, name: str, images: Images
) -> dict[str, Any]:
    """One detector on one clip."""
    shown = detector.images(clip, None, detector.size)
    regions = np.stack([inside_of(m) for m in detector.masks(clip, None, detector.size)])
    stem = f"{name}-{detector.name}"
    # The original already shows the face.
    inputs = [_sized(image) for image in shown] if detector.temporal else []
    return {
        "in_scope": found.in_scope,
        "p_fake": [_number(p, 4) for p in found.p_fake],
        "inputs": _add(images, f"{stem}-input", inputs) or None,
        "area": [_number(r.mean() if r.any() else math.nan, 4) for r in regions],
        "series": [
            _series_entry(which, maps, shown, regions, stem, images)
            for which, maps in found.maps.items()
        ],
    }


def _clip_entry(
    row: Any, clip: PreparedClip, rate: float, name: str, images: Images
) -> dict[str, Any]:
    """One clip without the results of detectors: its frames and their truth.

    Parameters
    ----------
    row : of `viewer_rows`
    rate : frames in a second of the video
    """
    truth = (outline(mask) for mask in clip.masks) if clip.masks.any() else ()
    return {
        "id": str(row.video_id),
        "title": _title(row),
        "group": row.group,
        "fake": bool(row.label),
        "frames": [int(i) for i in clip.frame],
        "seconds": [round(int(i) / rate, 3) for i in clip.frame],
        "originals": _add(images, f"{name}-original", map(_sized, clip.faces)),
        "truth": _add(images, f"{name}-truth", truth) or None,
    }


def _rate(clips: PreparedSet, video: str) -> float:
    """Frames in a second of a video."""
    row = clips.catalog.set_index("video_id").loc[video]
    with VideoReader(*segment(row, clips.root)) as reader:
        return reader.rate


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
    frames: int,
    preparation: Mapping[str, Any],
    bottlenecks: Mapping[str, Mapping[str, Any]],
    precisions: Mapping[str, str],
    about: Mapping[str, Any],
    **given: Any,
) -> None:
    """Write the manifest of the viewer, `viewer-data.js`, and the images that it names.

    Parameters
    ----------
    rows : a frame of each clip to show
    groups : heading in the list of clips, by video
    frames : consecutive frames of a clip, at most
    preparation : settings of the crops
    bottlenecks : settings of the bottleneck of each detector that is shown
    precisions : of the forward passes of each detector
    about : what the page says of the run and the methods
    given : inputs of each detector, as `<name> <role>`, see `viewer_stage`
    """
    prepared_set = PreparedSet(dataset, prepared)
    table = prepared_set.rows(rows)
    table["group"] = table.video_id.map(groups)
    clips: dict[str, PreparedClip] = {}
    for video in table.video_id:
        work.progress(f"viewer: preparing clip {len(clips) + 1} of {len(table)}")
        clips[video] = prepared_set.consecutive(video, frames, preparation)
    images: Images = {}
    entries = [
        _clip_entry(row, clips[row.video_id], _rate(prepared_set, row.video_id), f"c{i}", images)
        | {"detectors": {}}
        for i, row in enumerate(table.itertuples())
    ]
    detectors = []
    for name, bottleneck in bottlenecks.items():
        work.progress(f"viewer: explaining {len(clips)} clips of {name}")
        roles = {key.split()[1]: value for key, value in given.items() if key.split()[0] == name}
        found = _results(clips, roles, bottleneck, precisions[name], work.device)
        detectors.append(roles["detector"])
        for i, (video, clip) in enumerate(clips.items()):
            entry = _detector_entry(clip, detectors[-1], found[video], f"c{i}", images)
            entries[i]["detectors"][name] = entry
    for name, data in encode_all(images).items():
        (folder / name).write_bytes(data)
    manifest = _manifest(detectors, entries, about)
    (folder / DATA).write_text(script(manifest), encoding="utf-8")


def _manifest(
    detectors: Sequence[Detector], clips: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page of the viewer reads."""
    scale = mpl.colormaps["inferno"](np.linspace(0, 1, 9))
    return {
        "version": 2,
        **about,
        "side": SIDE,
        "colours": [mpl.colors.to_hex(c) for c in scale],
        "detectors": [_about(detector) for detector in detectors],
        "clips": clips,
    }


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
        "frames": FRAMES,
        "preparation": profile.preparation.model_dump(),
        "bottlenecks": {d: stages.bottleneck(stages.detector(d)) for d in DETECTORS},
        "precisions": {d: study.settings(d).training.precision for d in DETECTORS},
        "about": about | texts,
    }
    return Stage("viewer", draw_viewer, settings, inputs)
