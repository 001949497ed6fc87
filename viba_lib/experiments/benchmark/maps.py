"""Relevance maps of a profile's frames by every method, with their cost; each computed once."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import ValidationError

from viba_lib.baselines.budget import LEAST, counted
from viba_lib.baselines.explainers import (
    NAMES,
    candidates_of,
    check_names,
    option_of,
    spent,
)
from viba_lib.baselines.methods import METHODS
from viba_lib.baselines.names import VIBA
from viba_lib.core.cache import Stage, Work
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.faithfulness import map_measures
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Positions, run_stage
from viba_lib.pipeline.explain import MAPS, open_maps, save_maps
from viba_lib.pipeline.profiles import ComparisonSettings, first_problem
from viba_lib.pipeline.select import select
from viba_lib.pipeline.stages import positions_of
from viba_lib.pipeline.study import Study

SETTINGS = ("default", "tuned")


def _setting(value: Any) -> str:
    """Name of a value of a method's setting in tables; None follows from the budget."""
    return "by the budget" if value is None else str(value)


def benchmark_rows(study: Study, detector: str, split: str, count: int) -> pd.DataFrame:
    """Up to `count` fakes, one frame of each video, of all planted methods in turn.

    A map explains a decision, and the mask is the ground truth of a correct decision only.
    Therefore frames that the detector classifies correctly come first. They are sampled with the
    seed, independently of the probability.

    Returns
    -------
    Rows of `Study.frames` with p_fake.
    """
    return select(
        study.predictions(detector), split=split, label=1, in_scope=True, order="random",
        correct_first=True, in_turn=True, take="chosen", videos=count, seed=study.seed,
    )  # fmt: skip


def compute_maps(
    folder: Path, work: Work, *, rows: Positions, method: str, value: Any, **given: Any
) -> None:
    """Maps of frames by a method, with the measured cost of a frame."""
    run = BenchmarkRun(work=work, **given)
    setting = f", {option_of(method)} {value}" if option_of(method) else ""
    work.progress(f"{run.detector.name}: {len(rows)} maps by {method}{setting}")
    inputs, model = run.inputs_at(rows), run.network.model_of(method)
    classes = run.classes(inputs)
    if method == VIBA or METHODS[method].category == "trained":
        # To split the network and to fit a head is done once, and not part of the cost of a frame.
        run.maps(method, inputs[:1], LEAST, value, classes[:1])
    passes = run.numbers["passes"]
    start = time.perf_counter()
    with counted(model) as found:
        maps = run.maps(method, inputs, passes, value, classes)
    seconds = (time.perf_counter() - start) / len(rows)
    forward, backward = (count / len(rows) for count in (found.forward, found.backward))
    if method == VIBA:  # its passes go through two parts of the network
        used = spent(VIBA, passes, inputs.shape[-1], run.bottleneck)
        forward, backward = used.forward, used.backward
    cost = {"seconds": seconds, "forward": float(forward), "backward": float(backward)}
    save_maps(xr.Dataset({"maps": (("item", "y", "x"), maps)}, attrs=cost), folder / MAPS)


def maps_stage(
    study: Study, detector: str, rows: pd.DataFrame, name: str, value: Any = None
) -> Stage:
    """Stage of `maps_of`."""
    candidates = candidates_of(name, study.layers(detector))
    value = candidates[0] if value is None and candidates else value
    settings = {"rows": positions_of(rows), "method": name, "value": value}
    layer = value if name == VIBA else None
    return run_stage(study, detector, "compare", compute_maps, layer, ["passes"], settings)


def maps_of(
    study: Study, detector: str, rows: pd.DataFrame, name: str, value: Any = None
) -> xr.Dataset:
    """Maps of rows of `Study.frames` by a method; cached.

    Parameters
    ----------
    name : one of `explainers.NAMES`
    value : of its setting; None = its default

    Returns
    -------
    maps (item, y, x); attributes seconds (of a frame, measured when the maps were computed),
    forward and backward (passes through the network for a frame, counted when the maps were
    computed; for the bottleneck by its settings).
    """
    return open_maps(study.get(maps_stage(study, detector, rows, name, value)))


def with_comparison(study: Study, **numbers: int) -> Study:
    """A copy of the study with other numbers in its profile's `comparison`.

    Parameters
    ----------
    numbers : fields of `ComparisonSettings`; 0 = the profile's number

    Raises
    ------
    VibaError
        A field that does not exist, or a number out of its range.
    """
    changes = {name: value for name, value in numbers.items() if value != 0}
    try:
        comparison = ComparisonSettings(**study.profile.comparison.model_dump() | changes)
    except ValidationError as error:
        raise VibaError(f"{first_problem(error)}; give 0 for the profile's number") from error
    profile = study.profile.model_copy(update={"comparison": comparison})
    roots = (study.data_root, study.root.parent)
    return Study(profile, *roots, study.device, study.seed, study.progress, study.scheduler)


class Benchmark:
    """Attribution methods compared on the test fakes of one detector.

    Parameters
    ----------
    settings : "default", or "tuned": each method with the setting that is best on the validation
        split
    names : methods, see `explainers.NAMES`
    rows : frames to explain; None = `benchmark_rows` of the test split

    Raises
    ------
    VibaError
        Other settings, an unknown detector or method.
    """

    def __init__(
        self,
        study: Study,
        detector: str,
        settings: str = "default",
        names: Sequence[str] = NAMES,
        rows: pd.DataFrame | None = None,
    ) -> None:
        if settings not in SETTINGS:
            raise VibaError(f"settings {settings!r} are not known; choose one of {SETTINGS}")
        study.settings(detector)
        self.study, self.detector, self.settings = study, detector, settings
        self.names = check_names(list(names))
        if rows is not None:
            self.rows = rows

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Frames to explain, see `benchmark_rows`."""
        count = self.study.profile.comparison.frames
        return benchmark_rows(self.study, self.detector, "test", count)

    @cached_property
    def tuning(self) -> pd.DataFrame:
        """Settings tried on the validation split; relevance inside the mask chooses.

        Returns
        -------
        method, option, value, ratio (mean of relevance inside the mask over chance), default
        (whether this is the value without tuning), chosen (whether it is the best), detector.
        """
        study, detector = self.study, self.detector
        frames = benchmark_rows(study, detector, "val", study.profile.comparison.tuning)
        masks, rows = study.masks(detector, frames), []
        for name in self.names:
            for at, value in enumerate(candidates_of(name, study.layers(detector))):
                maps = maps_of(study, detector, frames, name, value).maps.values
                ratios = map_measures(maps, masks).ratio
                ratio = ratios.mean() if ratios.notna().any() else 0.0
                rows.append((name, option_of(name), _setting(value), ratio, at == 0))
        table = pd.DataFrame(rows, columns=["method", "option", "value", "ratio", "default"])
        best = table.groupby("method").ratio.idxmax()
        return table.assign(chosen=table.index.isin(best), detector=detector)

    @cached_property
    def values(self) -> dict[str, Any]:
        """Value of each method's setting; None for the default."""
        values = dict.fromkeys(self.names)
        if self.settings == "tuned":
            for row in self.tuning[self.tuning.chosen].itertuples():
                candidates = candidates_of(row.method, self.study.layers(self.detector))
                values[row.method] = next(v for v in candidates if _setting(v) == row.value)
        return values

    @property
    def layer(self) -> str:
        """Layer of the bottleneck."""
        return self.values.get(VIBA) or self.study.layer(self.detector)

    def maps_stage(self, name: str) -> Stage:
        """Stage of the maps of the rows by a method."""
        return maps_stage(self.study, self.detector, self.rows, name, self.values[name])

    def maps(self) -> dict[str, xr.Dataset]:
        """Maps of the rows by each method, see `maps_of`."""
        return {name: open_maps(self.study.get(self.maps_stage(name))) for name in self.names}

    def example(self, item: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Image (S, S, 3), planted mask (S, S) and maps (S, S) by method of one row."""
        row = self.rows.iloc[[item]]
        image, mask = self.study.images(self.detector, row)[0], self.study.masks(self.detector, row)
        return image, mask[0], {name: m.maps.values[item] for name, m in self.maps().items()}

    def worst(self, name: str = VIBA) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """`example` of the row on which a method has the lowest ratio inside the mask."""
        masks, maps = self.study.masks(self.detector, self.rows), self.maps()[name].maps.values
        return self.example(int(map_measures(maps, masks).ratio.fillna(np.inf).argmin()))
