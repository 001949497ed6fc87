"""Speed and memory of the bottleneck, compared with the reference implementation (`speed`)."""

import copy
import json
import math
import platform
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from viba_lib.baselines.common import classes_of
from viba_lib.bottleneck import BottleneckSettings, LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.precision import AUTO, clock, imitated
from viba_lib.bottleneck.reference import STEPS, reference_attribute
from viba_lib.bottleneck.settings import PRESETS
from viba_lib.bottleneck.split import find_layer, hooked
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.core.memory import give_back, resident_memory
from viba_lib.core.progress import Progress
from viba_lib.evaluation.agreement import rank_correlation
from viba_lib.experiments import common
from viba_lib.experiments.memory import run_in_new_process
from viba_lib.models.detectors import DETECTORS, find_detector
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study
from viba_lib.visual.provenance import commit

REFERENCE = "plain"  # the reference implementation's name in profiles and in saved rows
# Settings of the bottleneck that are measured, as changes of the defaults.
CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "bfloat16": {"precision": "bfloat16"},
    "fast": PRESETS["fast"],
    "accurate": PRESETS["accurate"],
}
SETTINGS = (REFERENCE, *CHANGES)
NUMBERS = ("seconds", "ratio", "ratio_low", "ratio_high", "agreement", "memory")  # of a row
Row = dict[str, Any]


def agreement(first: Any, second: Any) -> float:
    """Rank correlation (Spearman) of layer maps (T, h, w), mean over frames.

    Parameters
    ----------
    first, second : tensors or arrays, capacity summed over channels; NaN for a constant map
    """
    pairs = zip(np.asarray(first), np.asarray(second), strict=True)
    return float(np.mean([rank_correlation(*pair) for pair in pairs]))


@dataclass(frozen=True)
class Subject:
    """A detector with a layer, statistics of that layer, and the frames (T, 3, H, W) explained."""

    detector: str
    layer: str
    model: nn.Module
    statistics: LayerStatistics
    frames: torch.Tensor

    @property
    def names(self) -> dict[str, Any]:
        """Detector and layer, for a row."""
        return {"detector": self.detector, "layer": self.layer}

    def bottleneck(self, **settings: Any) -> PerSampleBottleneck:
        """Bottleneck with the given settings and the defaults."""
        return self._cut.varied(**settings)

    @cached_property
    def _cut(self) -> PerSampleBottleneck:
        return PerSampleBottleneck(self.model, self.layer, self.statistics)

    @cached_property
    def targets(self) -> torch.Tensor:
        """Predicted class of each frame."""
        return torch.tensor(classes_of(self.model, self.frames, None))

    def maps(self, bottleneck: PerSampleBottleneck) -> torch.Tensor:
        """Layer maps (T, h, w) of the frames in bits."""
        return bottleneck.attribute(self.frames, self.targets).capacity.sum(1)

    def contiguous(self) -> "Subject":
        """Copy in the default memory format, which the reference implementation uses."""
        model = copy.deepcopy(self.model).to(memory_format=torch.contiguous_format)
        return replace(self, model=model, frames=self.frames.contiguous())


def mean_maps(subject: Subject, runs: int, precision: str = "float32") -> torch.Tensor:
    """Layer maps (T, h, w) in bits: mean of runs of the defaults with seeds 0 to runs - 1."""
    total = torch.zeros(())
    for seed in range(runs):
        total = total + subject.maps(subject.bottleneck(seed=seed, precision=precision))
    give_back()
    return total / runs


def subjects(
    study: Study,
    detectors: Iterable[str] = tuple(DETECTORS),
    layer: str = "",
    frames: int = 2,
    untrained: bool = False,
) -> Iterator[Subject]:
    """Detectors at layers, with held-out fake frames; see `common.named_layers`.

    Parameters
    ----------
    untrained : random weights and random frames of the profile's size: nothing is downloaded or
        trained, costs are the same, and maps have no meaning
    """
    for detector, names in common.named_layers(study, detectors, layer).items():
        if untrained:
            model, inputs = _untrained(study, detector, max(8, frames))
        else:
            fakes = select(study.evaluation_rows(detector), label=1).head(frames)
            model, inputs = study.detector(detector), study.inputs(detector, fakes)
        for name in names:
            if untrained:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # few inputs are enough, maps have no meaning
                    statistics = LayerStatistics.estimate(model, name, [inputs])
            else:
                statistics = study.statistics(detector, name)
            yield Subject(detector, name, model, statistics, inputs[:frames])


def _untrained(study: Study, detector: str, frames: int) -> tuple[nn.Module, torch.Tensor]:
    """Model with random weights, and random frames (T, 3, S, S)."""
    size = study.settings(detector).size
    with torch.random.fork_rng():
        torch.manual_seed(study.seed)
        model = find_detector(detector).build().to(study.device)
        inputs = torch.rand(frames, 3, size, size) * 2 - 1
    return model.to(memory_format=torch.channels_last), inputs


def _time_reference(
    subject: Subject, steps: int, items: int | None = None
) -> tuple[float, torch.Tensor]:
    """Seconds of the reference implementation for the first frame, and its layer map (1, h, w).

    Only some of its steps are run. All steps do the same work: the first, which also allocates,
    counts once, and the mean of the others is the time of each further step.
    """
    device, target = device_of(subject.model), int(subject.targets[0])
    marks = [clock(device)]
    capacity = reference_attribute(
        subject.model, subject.layer, subject.statistics, subject.frames[0], target,
        BottleneckSettings(steps=steps), on_step=lambda _: marks.append(clock(device)),
        items_per_pass=items,
    )  # fmt: skip
    first, *others = np.diff(marks)
    return float(first + (STEPS - 1) * np.mean(others)), capacity.sum(0)[None].cpu()


def _time_bottleneck(subject: Subject, name: str, seed: int) -> tuple[float, torch.Tensor]:
    """Seconds per frame of a call with all frames, and layer maps (T, h, w)."""
    device, bottleneck = device_of(subject.model), subject.bottleneck(**CHANGES[name], seed=seed)
    start = clock(device)
    maps = subject.maps(bottleneck)
    return (clock(device) - start) / len(subject.frames), maps


def _imitated(subject: Subject, name: str) -> bool:
    """Whether this machine imitates the precision of a setting: a step with one sample tells."""
    precision = CHANGES.get(name, {}).get("precision", AUTO)
    if precision == AUTO:  # never an imitated one
        return False

    def run(given: str) -> None:
        step = subject.bottleneck(precision=given, steps=1, noise_samples=1)
        step.attribute(subject.frames[:1], subject.targets[:1])

    run("float32")  # the first call also traces
    return imitated(precision, run, device_of(subject.model))


def _rounds(
    subject: Subject,
    settings: Sequence[str],
    repeats: int,
    plain_steps: int,
    plain_items: int | None,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
    """Seconds per frame of each setting in each round, and layer maps of each setting.

    A round times all settings one after another: whatever else a machine does in the meantime, a
    ratio is of neighbours in time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    maps: dict[str, torch.Tensor] = {}
    for name in settings:
        if name != REFERENCE:  # the first call also traces
            subject.maps(subject.bottleneck(**CHANGES[name] | {"steps": 1}))
    plain = subject.contiguous() if REFERENCE in settings else subject
    for number in range(repeats):
        for name in settings:
            if name == REFERENCE:
                took, maps[name] = _time_reference(plain, plain_steps, plain_items)
            else:
                took, maps[name] = _time_bottleneck(subject, name, seed)
            seconds[name].append(took)
            progress(
                f"{subject.detector} at {subject.layer}: round {number + 1} of {repeats}, "
                f"{name}: {took:.3f} s per frame"
            )
        give_back()
    return seconds, maps


def measure_subject(
    subject: Subject,
    settings: Iterable[str] = SETTINGS,
    runs: int = 8,
    repeats: int = 1,
    plain_steps: int = 2,
    plain_items: int | None = None,
    memory: bool = False,
    precision: str = "float32",
    progress: Progress = lambda _: None,
) -> Iterator[Row]:
    """Seconds per frame of each setting, and of the reference implementation for the first frame.

    Parameters
    ----------
    settings : some of `SETTINGS`
    runs : the maps of each setting are compared with the mean map of so many default runs; 0 = no
        comparison
    repeats : rounds, in each of which every setting is timed once
    plain_steps : steps of the reference implementation that are run, 2 or more
    plain_items : noise samples of one of its passes; None = all
    memory : measure it as well, see `peak_memory`
    precision : of the default runs

    Yields
    ------
    detector, layer, settings, precision (of "auto", the chosen one), seconds (per frame, median of
    the rounds), ratio (of the reference's seconds to these, median of the rounds), ratio_low and
    ratio_high (its range over the rounds), agreement (with the mean map, see `agreement`), memory
    (MiB); NaN if not measured. A precision that this machine imitates is not measured.

    Raises
    ------
    VibaError
        Unknown settings.
    """
    names = list(settings)
    for name in names:
        if name not in SETTINGS:
            raise VibaError(f"settings {name!r} are not known; choose of {', '.join(SETTINGS)}")
    timed = [name for name in names if not _imitated(subject, name)]
    # Another seed than those of the mean: a run must not be compared with itself.
    seconds, maps = _rounds(subject, timed, repeats, plain_steps, plain_items, runs, progress)
    expected = None
    for name in names:
        if name not in timed:
            yield (
                subject.names
                | {"settings": name, **CHANGES[name]}
                | dict.fromkeys(NUMBERS, math.nan)
            )
            continue
        ratios = np.divide(seconds.get(REFERENCE, math.nan), seconds[name])
        row: Row = {"settings": name, "precision": "float32"}
        if name != REFERENCE:
            bottleneck = subject.bottleneck(**CHANGES[name])
            row["precision"] = bottleneck.choose_precision(subject.frames)
        row["seconds"] = float(np.median(seconds[name]))
        row |= {"ratio": float(np.median(ratios)), "ratio_low": float(ratios.min())}
        row |= {"ratio_high": float(ratios.max()), "agreement": math.nan, "memory": math.nan}
        if runs > 0 and (name != REFERENCE or plain_steps == STEPS):
            expected = mean_maps(subject, runs, precision) if expected is None else expected
            row["agreement"] = agreement(maps[name], expected[: len(maps[name])])
        if memory:
            row["memory"] = peak_memory(subject, name)
        yield subject.names | row


def growth(subject: Subject, counts: Sequence[int], memory: bool = False) -> Iterator[Row]:
    """Cost of calls with several numbers of frames, with the preset "fast".

    Parameters
    ----------
    subject : its frames are repeated if there are fewer
    counts : numbers of frames, each explained in one call
    memory : measure it as well, see `peak_memory`

    Yields
    ------
    detector, layer, frames, seconds and memory.
    """
    device = device_of(subject.model)
    copies = -(-max(counts) // len(subject.frames))
    frames = subject.frames.repeat(copies, 1, 1, 1)
    bottleneck = subject.bottleneck(**PRESETS["fast"])
    bottleneck.attribute(frames[:1])  # the first call also allocates
    for count in counts:
        start = clock(device)
        bottleneck.attribute(frames[:count])
        seconds = clock(device) - start
        few = replace(subject, frames=frames[:count].clone())
        added = peak_memory(few, "fast") if memory else math.nan
        yield subject.names | {"frames": count, "seconds": seconds, "memory": added}


def measurements(
    subject: Subject, largest: int = 0, memory: bool = False, **options: Any
) -> Iterator[tuple[str, Row]]:
    """All measurements of a subject: "rows" of settings, then "growth" up to `largest` frames.

    Parameters
    ----------
    largest : frames of the largest call; 0 = growth is not measured
    options : of `measure_subject`
    """
    for row in measure_subject(subject, memory=memory, **options):
        yield "rows", row
    if largest:
        counts = [*(2**n for n in range(largest.bit_length()) if 2**n < largest), largest]
        for row in growth(subject, counts, memory):
            yield "growth", row


def _count(model: nn.Module, layer: str, size: int) -> dict[str, float]:
    """10^9 multiply-accumulates of one frame, upstream of a layer's output and downstream of it.

    The model is on the device "meta": tensors without values, since counting needs only shapes.
    """
    reached: list[int] = []
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        with hooked(find_layer(model, layer), lambda *_: reached.append(counter.get_total_flops())):
            model(torch.zeros(1, 3, size, size, device="meta"))
        total = counter.get_total_flops()
    # The counter counts a multiplication and an addition as two.
    return {"upstream": reached[0] / 2e9, "downstream": (total - reached[0]) / 2e9}


def layer_costs(sizes: Mapping[str, int]) -> pd.DataFrame:
    """Multiply-accumulates of one frame upstream and downstream of each injection layer, counted.

    Parameters
    ----------
    sizes : input size of each detector in pixels

    Returns
    -------
    detector, layer, upstream, downstream (10^9 multiply-accumulates), share (downstream over all)
    and expected: how many times faster than the reference implementation the same steps must be if
    only what is downstream of the layer runs, forward and backward, without gradients of weights.
    """
    rows = []
    for name, size in sizes.items():
        detector = find_detector(name)
        with torch.device("meta"):
            model = detector.build()
        for layer in detector.layers:
            rows.append({"detector": name, "layer": layer} | _count(model, layer, size))
    table = pd.DataFrame(rows)
    total = table.upstream + table.downstream
    # A forward pass costs one; its backward pass costs one for inputs and one for weights.
    expected = 3 * total / (2 * table.downstream)
    return table.assign(share=table.downstream / total, expected=expected)


def _added_memory(subject: Subject, name: str) -> float:
    device = device_of(subject.model)
    _ = subject.targets  # their forward pass does not count
    before = resident_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) / 2**20
    if name == REFERENCE:
        _time_reference(subject, steps=2)
    else:
        subject.bottleneck(**CHANGES[name] | {"steps": 2}).attribute(subject.frames)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20 - before
    return resident_memory(peak=True) - before


def peak_memory(subject: Subject, name: str) -> float:
    """Peak memory that a setting adds while it explains the frames, in MiB.

    Each setting runs in a process of its own, because memory that another one has left would hide
    its peak. It runs two steps, since all steps need the same. On a GPU, it is the memory that
    torch allocated there, on a CPU the resident memory of the process; NaN if the system does not
    report it.
    """
    given = subject.contiguous() if name == REFERENCE else subject
    return run_in_new_process(_added_memory, given, name)


def save_rows(path: Path, study: Study, rows: Sequence[Row], growth: Sequence[Row] = ()) -> None:
    """Write rows of `measure_subject` and of `growth` as JSON, with the machine they are from."""
    cuda = study.device.startswith("cuda")
    processor = torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability()
    content = {
        "device": study.device,
        "machine": f"{platform.machine()}, {processor}",
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("viba", "torch")},
        "commit": commit(),
        "profile": study.profile.name,
        "rows": rows,
        "growth": growth,
    }
    # JSON has no NaN.
    finite = json.loads(json.dumps(content), parse_constant=lambda _: None)
    write_text(path, json.dumps(finite, indent=1))
