"""Speed and memory of the bottleneck, compared with the reference implementation."""

import copy
import json
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from viba_lib.bottleneck import BottleneckSettings, LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.reference import STEPS, reference_attribute
from viba_lib.bottleneck.split import device_of, find_layer, hooked
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.core.memory import resident_memory, run_in_new_process
from viba_lib.models.detectors import DETECTORS, find_detector
from viba_lib.pipeline.study import Study
from viba_lib.visual.provenance import commit

MAKERS: dict[str, Callable[..., PerSampleBottleneck]] = {
    "default": PerSampleBottleneck,
    "bfloat16": partial(PerSampleBottleneck, precision="bfloat16"),
    "fast": PerSampleBottleneck.fast,
    "accurate": PerSampleBottleneck.accurate,
}


SETTINGS = ("plain", *MAKERS)


COLUMNS = ("detector", "layer", "settings", "seconds", "ratio", "agreement", "memory")


def agreement(first: Any, second: Any) -> float:
    """Rank correlation (Spearman) of layer maps (T, h, w), mean over frames.

    Parameters
    ----------
    first, second : tensors or arrays, capacity summed over channels; NaN for a constant map

    Raises
    ------
    VibaError
        Maps of different shapes.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 3:
        raise VibaError(f"maps of shapes {a.shape} and {b.shape}; expected (T, h, w) twice")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant map has no ranks; the NaN says so
        found = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    return float(np.mean(found))


def reference_maps(
    model: nn.Module,
    layer: str,
    statistics: LayerStatistics,
    frames: torch.Tensor,
    target: torch.Tensor | None = None,
    runs: int = 8,
    precision: str = "float32",
) -> torch.Tensor:
    """Layer maps (T, h, w) in bits: mean of runs of the defaults with seeds 0 to runs - 1."""
    total = torch.zeros(())
    for seed in range(runs):
        run = PerSampleBottleneck(model, layer, statistics, seed=seed, precision=precision)
        total = total + run.attribute(frames, target).capacity.sum(1)
    return total / runs


@dataclass(frozen=True)
class Subject:
    """A detector with a layer, statistics of that layer, and the frames (T, 3, H, W) explained."""

    detector: str
    layer: str
    model: nn.Module
    statistics: LayerStatistics
    frames: torch.Tensor


def named_layers(study: Study, detectors: Sequence[str], layer: str = "") -> dict[str, list[str]]:
    """Layers to measure, per detector; comes before anything that takes minutes.

    Parameters
    ----------
    layer : dotted name; "" = the paper's choice for each detector, "all" = the paper's eight

    Raises
    ------
    VibaError
        Unknown detector, or a layer that none of the detectors has.
    """
    if layer in ("", "all"):
        chosen = {d: list(study.layers(d)) for d in detectors}
        return chosen if layer else {d: names[:1] for d, names in chosen.items()}
    for detector in detectors:
        study.settings(detector)
    networks = {d: find_detector(d).build() for d in detectors}
    found = {d: [layer] for d, n in networks.items() if layer in dict(n.named_modules())}
    if not found:
        find_layer(networks[detectors[0]], layer)
    return found


def subjects(
    study: Study,
    detectors: Sequence[str] = tuple(DETECTORS),
    layer: str = "",
    frames: int = 2,
    untrained: bool = False,
) -> Iterator[Subject]:
    """Detectors at layers, with held-out fake frames; see `named_layers`.

    Parameters
    ----------
    untrained : random weights and random frames of the profile's size; nothing is fetched or
        trained, costs are the same, and maps mean nothing
    """
    for detector, names in named_layers(study, detectors, layer).items():
        if untrained:
            size = study.settings(detector).size
            with torch.random.fork_rng():
                torch.manual_seed(study.seed)
                model = find_detector(detector).build().to(study.device)
                many = torch.rand(max(8, frames), 3, size, size) * 2 - 1
            inputs = many[:frames]
            model = model.to(memory_format=torch.channels_last)
        else:
            model = study.detector(detector)
            fakes = study.evaluation_rows(detector).query("label == 1").head(frames)
            inputs = study.inputs(detector, fakes)
        for name in names:
            if untrained:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # few inputs are enough where maps mean nothing
                    statistics = LayerStatistics.estimate(model, name, [many])
            else:
                statistics = study.statistics(detector, name)
            yield Subject(detector, name, model, statistics, inputs)


def presets(study: Study) -> pd.DataFrame:
    """What the settings of the engine differ in, as they are at the paper's layer of Xception."""
    model, layer = study.detector("xception"), study.layer("xception")
    statistics = study.statistics("xception", layer)
    names = ("steps", "noise_samples", "antithetic", "precision")
    made = {name: make(model, layer, statistics) for name, make in MAKERS.items()}
    rows = [{"settings": k} | {n: getattr(v.settings, n) for n in names} for k, v in made.items()]
    return pd.DataFrame(rows)


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _default_format(subject: Subject) -> Subject:
    """Copy in the default memory format, in which the reference leaves weights and activations."""
    model = copy.deepcopy(subject.model).to(memory_format=torch.contiguous_format)
    return replace(subject, model=model, frames=subject.frames.contiguous())


def _plain(subject: Subject, target: int, timed: int) -> tuple[float, torch.Tensor]:
    """Seconds that the plain version takes for the first frame, and its layer map (1, h, w).

    Only some of its steps are run. They are identical work: the first, which also allocates, counts
    once, and the others stand for the rest.
    """
    device = device_of(subject.model)
    marks = [_clock(device)]
    capacity = reference_attribute(
        subject.model, subject.layer, subject.statistics, subject.frames[0], target,
        BottleneckSettings(steps=timed), on_step=lambda _: marks.append(_clock(device)),
    )  # fmt: skip
    first, *others = np.diff(marks)
    return float(first + (STEPS - 1) * np.mean(others)), capacity.sum(0)[None].cpu()


def _engine(
    subject: Subject, name: str, target: torch.Tensor, repeats: int, seed: int
) -> tuple[float, torch.Tensor]:
    """Seconds per frame of the quickest run, and layer maps (T, h, w).

    Other work on the machine can only add to a time, so the quickest is the truest.
    """
    device, found = device_of(subject.model), []
    bottleneck = MAKERS[name](subject.model, subject.layer, subject.statistics, seed=seed)
    warm = copy.copy(bottleneck)
    warm.settings = replace(warm.settings, steps=1)
    warm.attribute(subject.frames, target)
    for _ in range(repeats):
        start = _clock(device)
        attribution = bottleneck.attribute(subject.frames, target)
        found.append(_clock(device) - start)
    return min(found) / len(subject.frames), attribution.capacity.sum(1)


def measure_subject(
    subject: Subject,
    settings: Iterable[str] = SETTINGS,
    runs: int = 8,
    repeats: int = 1,
    plain_steps: int = 2,
    memory: bool = False,
    precision: str = "float32",
) -> Iterator[dict[str, Any]]:
    """Rows of `measure` for one detector and layer, each as soon as it is known."""
    if plain_steps < 2:
        raise VibaError(
            f"plain_steps is {plain_steps}; expected 2 or more: the first also warms up"
        )
    with torch.no_grad():
        target = subject.model(subject.frames.to(device_of(subject.model))).argmax(1).cpu()
    wanted, plain = None, math.nan
    for name in settings:
        if name not in SETTINGS:
            raise VibaError(f"settings {name!r} are not known; choose of {', '.join(SETTINGS)}")
        if name == "plain":
            seconds, maps = _plain(_default_format(subject), int(target[0]), plain_steps)
            plain = seconds
        else:
            # A seed of its own: with one of the mean's, a run would be compared with itself.
            seconds, maps = _engine(subject, name, target, repeats, runs)
        compared = runs > 0 and (name != "plain" or plain_steps == STEPS)
        if compared and wanted is None:
            wanted = reference_maps(
                subject.model, subject.layer, subject.statistics, subject.frames, target, runs,
                precision,
            )  # fmt: skip
        yield {
            "detector": subject.detector,
            "layer": subject.layer,
            "settings": name,
            "seconds": seconds,
            "ratio": plain / seconds,
            "agreement": agreement(maps, wanted[: len(maps)]) if compared else math.nan,  # type: ignore[index]
            "memory": peak_memory(subject, name) if memory else math.nan,
        }


def measure(study: Study, detectors: Sequence[str] = tuple(DETECTORS), layer: str = "",
            frames: int = 2, **options: Any) -> pd.DataFrame:  # fmt: skip
    """Seconds per frame of each setting, beside the plain version.

    Parameters
    ----------
    layer : see `named_layers`
    frames : held-out fake frames explained; the plain version takes the first
    options : of `measure_subject`: runs whose mean map settings are compared with (0 = not at
        all) and their precision, repeats of which the quickest counts, steps of the plain version
        that are run, and whether memory is measured

    Returns
    -------
    detector, layer, settings, seconds (per frame), ratio (of the plain version's seconds to
    these), agreement (with the mean of runs, see `agreement`), memory (MiB, see `peak_memory`);
    NaN where not measured.
    """
    rows = [
        row
        for subject in subjects(study, detectors, layer, frames)
        for row in measure_subject(subject, **options)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def counts_until(most: int) -> list[int]:
    """1, 2, 4, ... and `most` itself."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


def growth(
    subject: Subject, counts: Sequence[int], settings: str = "fast", memory: bool = False
) -> Iterator[dict[str, Any]]:
    """What calls of so many frames cost: rows with detector, layer, frames, seconds and memory.

    Parameters
    ----------
    subject : its frames are repeated where there are fewer
    counts : numbers of frames, each explained in one call
    settings : a key of `MAKERS`
    memory : measure it as well, see `peak_memory`
    """
    device = device_of(subject.model)
    copies = -(-max(counts) // len(subject.frames))
    frames = subject.frames.repeat(copies, 1, 1, 1)
    bottleneck = MAKERS[settings](subject.model, subject.layer, subject.statistics)
    bottleneck.attribute(frames[:1])  # the first call also allocates
    for count in counts:
        start = _clock(device)
        bottleneck.attribute(frames[:count])
        seconds = _clock(device) - start
        few = replace(subject, frames=frames[:count].clone())
        taken = peak_memory(few, settings) if memory else math.nan
        yield {
            "detector": subject.detector, "layer": subject.layer, "frames": count,
            "seconds": seconds, "memory": taken,
        }  # fmt: skip


def measurements(
    subject: Subject, most: int = 0, memory: bool = False, **options: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that is measured of a subject: "rows" of settings, then "growth" up to `most` frames.

    Parameters
    ----------
    most : frames of the largest call; 0 = growth is not measured
    options : of `measure_subject`
    """
    for row in measure_subject(subject, memory=memory, **options):
        yield "rows", row
    if most:
        for row in growth(subject, counts_until(most), memory=memory):
            yield "growth", row


def cost_by_frames(
    study: Study, detector: str, counts: Sequence[int] = (1, 2, 4, 8, 16), settings: str = "fast"
) -> pd.DataFrame:
    """Seconds in total to explain so many frames in one call; columns frames, seconds."""
    subject = next(subjects(study, [detector], frames=max(counts)))
    return pd.DataFrame(growth(subject, counts, settings))[["frames", "seconds"]]


def _count(model: nn.Module, layer: str, size: int) -> dict[str, float]:
    """10^9 multiply-accumulates of one frame that run before a layer's output is there, and after.

    The model is on the device "meta": tensors without values, since counting needs shapes alone.
    """
    reached: list[int] = []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        with hooked(find_layer(model, layer), lambda *_: reached.append(counter.get_total_flops())):
            model(torch.zeros(1, 3, size, size, device="meta"))
        whole = counter.get_total_flops()
    # The counter counts a multiplication and an addition as two.
    return {"before": reached[0] / 2e9, "behind": (whole - reached[0]) / 2e9}


def layer_costs(study: Study) -> pd.DataFrame:
    """Multiply-accumulates of one frame before and behind each of the paper's layers, counted.

    Returns
    -------
    detector, layer, before, behind (10^9 multiply-accumulates), share (behind over all) and
    expected: how much faster than the plain version the same steps must be when only what lies
    behind the layer is run, forward and backward, and no gradient of a weight is taken.
    """
    rows = []
    for detector in DETECTORS:
        model, size = find_detector(detector).build().to("meta"), study.settings(detector).size
        for layer in study.layers(detector):
            row = {"detector": detector, "layer": layer}
            rows.append(row | _count(model, layer, size))
    table = pd.DataFrame(rows)
    total = table.before + table.behind
    # A pass forward costs one, its backward one for inputs and one for weights.
    return table.assign(share=table.behind / total, expected=3 * total / (2 * table.behind))


def _growth(subject: Subject, name: str) -> float:
    device = device_of(subject.model)
    with torch.no_grad():
        target = subject.model(subject.frames[:1].to(device)).argmax(1).cpu()
    before = resident_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / 2**20
    if name == "plain":
        _plain(subject, int(target), timed=2)
    else:
        bottleneck = MAKERS[name](subject.model, subject.layer, subject.statistics, steps=2)
        bottleneck.attribute(subject.frames)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20 - before
    return resident_memory(peak=True) - before


def peak_memory(subject: Subject, name: str) -> float:
    """Most memory that a setting adds while it explains the frames, in MiB.

    Each setting has a process of its own, since what one leaves behind would hide what the next
    takes. It runs two steps: all steps are alike. On a GPU what torch allocated there, on a CPU
    the resident memory of the process; NaN where the system does not tell.
    """
    given = _default_format(subject) if name == "plain" else subject
    return run_in_new_process(_growth, given, name)


def save_rows(
    path: Path,
    study: Study,
    rows: Sequence[dict[str, Any]],
    grown: Sequence[dict[str, Any]] = (),
) -> None:
    """Write rows of `measure_subject` and of `growth` as JSON with what they were measured on."""
    cuda = study.device.startswith("cuda")
    kind = torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability()
    content = {
        "device": study.device,
        "machine": f"{platform.machine()}, {kind}",
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("viba", "torch")},
        "commit": commit(),
        "profile": study.profile.name,
        **{
            name: [{k: None if v != v else v for k, v in row.items()} for row in found]
            for name, found in (("rows", rows), ("growth", grown))
        },
    }
    write_text(path, json.dumps(content, indent=1))
