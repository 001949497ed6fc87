"""Maps of a profile's frames by every method, with what they cost, each drawn once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from pydantic import ValidationError

from viba_lib.baselines.explainers import (
    NAMES,
    VIBA,
    Network,
    candidates_of,
    check_names,
    draw_maps,
    option_of,
)
from viba_lib.core.cache import code_hash
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.faithfulness import mass_ratio
from viba_lib.models.training import predict
from viba_lib.pipeline.explain import save_maps
from viba_lib.pipeline.profiles import ComparisonSettings
from viba_lib.pipeline.study import Study

JOIN = {"maps": ("item", "y", "x")}


def network_of(study: Study, detector: str) -> Network:
    """A study's detector with statistics of each of the paper's injection layers."""
    layers = study.layers(detector)
    return Network(
        study.detector(detector),
        layers,
        {layer: study.statistics(detector, layer) for layer in layers},
        asdict(study.profile.bottleneck),
        study.settings(detector).training.precision,
    )


def contest_rows(study: Study, detector: str, split: str, count: int) -> pd.DataFrame:
    """Up to `count` fakes, a frame of a video each, of all planted methods in turn.

    A map explains a decision; where the decision is wrong, its truth is not the mask. So frames
    that the detector gets right come first, drawn by the seed and not by how sure it is.

    Returns
    -------
    Rows of `Study.frames` with p_fake.
    """
    found = study.predictions(detector)
    found = found[(found.split == split) & found.in_scope & (found.label == 1)]
    drawn = found.sample(frac=1, random_state=study.seed)
    drawn = drawn.assign(wrong=drawn.p_fake <= 0.5).sort_values("wrong", kind="stable")
    one_each = drawn.drop_duplicates("video_id")
    turn = one_each.groupby(["wrong", "method"], sort=False).cumcount()
    one_each = one_each.assign(turn=turn).sort_values(["wrong", "turn", "method"], kind="stable")
    return one_each.head(count).drop(columns=["wrong", "turn"]).reset_index(drop=True)


class _Count:
    """Forward passes of a network, in frames."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.frames = 0
        self._handle = model.register_forward_pre_hook(self._add)

    def _add(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.frames += len(inputs[0])

    def stop(self) -> int:
        self._handle.remove()
        return self.frames


def maps_of(
    study: Study,
    detector: str,
    rows: pd.DataFrame,
    name: str,
    value: Any = None,
    passes: int | None = None,
) -> xr.Dataset:
    """Maps of rows of `frames()` by a method, cached by content.

    Parameters
    ----------
    name : one of `contest.NAMES`
    value : of its setting; None = its default
    passes : budget of a frame; None = the profile's

    Returns
    -------
    maps (item, y, x); attributes seconds (of a frame, as measured when drawn) and forward (passes
    through the network for a frame; of the bottleneck those through the layers behind it).
    """
    passes = passes or study.profile.comparison.passes
    default = candidates_of(name, study.layers(detector))
    value = default[0] if value is None and default else value
    which = rows[["video_id", "position"]].to_numpy().tolist()
    weights = study.weights_path(detector).parent.name
    settings = asdict(study.profile.bottleneck) if name == VIBA else {}
    statistics = study.profile.evaluation.statistics_frames if name == VIBA else 0
    code = code_hash("baselines", "baselines.explainers", *(["bottleneck"] if name == VIBA else []))
    key = {"weights": weights, "rows": which, "method": name, "value": value, "passes": passes,
           "seed": study.seed, "settings": settings, "statistics": statistics,
           "code": code}  # fmt: skip

    def compute(folder: Path) -> None:
        study.progress(f"{detector}: {len(rows)} maps by {name}, {option_of(name)} {value}")
        network, inputs = network_of(study, detector), study.inputs(detector, rows)
        # What is built at a first call, such as a traced tail, is no cost of a frame.
        draw_maps(name, network, inputs[:1], None, 8, study.seed, value)
        counted, start = _Count(network.model), time.perf_counter()
        found = draw_maps(name, network, inputs, None, passes, study.seed, value)
        seconds, forward = time.perf_counter() - start, counted.stop()
        if name == VIBA:
            forward = len(rows) * settings["steps"] * settings["noise_samples"]
        facts = {"seconds": seconds / len(rows), "forward": forward / len(rows)}
        save_maps(xr.Dataset({"maps": (JOIN["maps"], found)}, attrs=facts), folder / "maps.zarr")

    folder = study.stage(f"compare-{detector}", key, compute)
    return xr.open_zarr(folder / "maps.zarr", consolidated=False).load()


def tuning(study: Study, detector: str, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """Each method's setting chosen on the validation split, by relevance inside the mask.

    Returns
    -------
    method, option, value, ratio (mean of relevance inside the mask over chance), default (the
    value that is used where nothing is tuned), chosen (the best).
    """
    rows = contest_rows(study, detector, "val", study.profile.comparison.tuning)
    masks, found = study.masks(detector, rows), []
    for name in names:
        candidates = candidates_of(name, study.layers(detector))
        scores = []
        for value in candidates:
            maps = maps_of(study, detector, rows, name, value).maps.values
            ratios = [mass_ratio(r, m) for r, m in zip(maps, masks, strict=True)]
            scores.append(float(np.nanmean(ratios)) if np.isfinite(ratios).any() else 0.0)
        for at, value in enumerate(candidates):
            facts = {"method": name, "option": option_of(name), "value": str(value)}
            best = int(np.argmax(scores))
            found.append(facts | {"ratio": scores[at], "default": at == 0, "chosen": at == best})
    columns = ["method", "option", "value", "ratio", "default", "chosen"]
    return pd.DataFrame(found, columns=columns).assign(detector=detector)


def tuned_values(study: Study, detector: str, table: pd.DataFrame) -> dict[str, Any]:
    """Value of each method's setting that `tuning` chose; None for methods without a setting."""
    chosen = table[table.chosen.astype(bool)].set_index("method").value
    values: dict[str, Any] = dict.fromkeys(NAMES)
    for name in chosen.index:
        options = candidates_of(name, study.layers(detector))
        values[name] = next(v for v in options if str(v) == chosen[name])
    return values


def all_maps(
    study: Study,
    detector: str,
    rows: pd.DataFrame,
    values: Mapping[str, Any],
    names: Sequence[str] = NAMES,
) -> dict[str, xr.Dataset]:
    """`maps_of` each method with its value."""
    return {name: maps_of(study, detector, rows, name, values.get(name)) for name in names}


def probabilities_of(study: Study, detector: str) -> Any:
    """Function from inputs (N, 3, S, S) to probabilities (N, classes) of a study's detector."""
    model, precision = study.detector(detector), study.settings(detector).training.precision

    def probabilities(batch: torch.Tensor) -> np.ndarray:
        return predict(model, batch, study.device, precision)

    return probabilities


def resized(study: Study, **numbers: int) -> Study:
    """The study with other numbers in its profile's `comparison`; 0 leaves a number as it is.

    Raises
    ------
    VibaError
        A number that the profile has not, or one out of its range.
    """
    changed = {name: value for name, value in numbers.items() if value != 0}
    given = study.profile.comparison.model_dump() | changed
    try:
        comparison = ComparisonSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise VibaError(
            f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}; give 0 for "
            "the profile's number"
        ) from error
    study.profile = study.profile.model_copy(update={"comparison": comparison})
    return study


TUNED = ("default", "tuned")


class Contest:
    """Methods on one detector's held-out fakes.

    Parameters
    ----------
    settings : "default", or "tuned": each method with the setting that is best on the validation
        split
    names : methods, see `contest.NAMES`

    Raises
    ------
    VibaError
        Other settings, an unknown detector or method.
    """

    def __init__(
        self, study: Study, detector: str, settings: str = "default", names: Sequence[str] = NAMES
    ) -> None:
        if settings not in TUNED:
            raise VibaError(f"settings {settings!r} are not known; choose one of {TUNED}")
        study.settings(detector)
        self.study, self.detector, self.settings = study, detector, settings
        self.names = check_names(list(names))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Frames that are explained, see `contest_rows`."""
        return contest_rows(self.study, self.detector, "test", self.study.profile.comparison.frames)

    @cached_property
    def tuning(self) -> pd.DataFrame:
        """Settings tried on the validation split, see `tuning`."""
        return tuning(self.study, self.detector, self.names)

    @cached_property
    def values(self) -> dict[str, Any]:
        """Value of each method's setting; None for the default."""
        if self.settings == "default":
            return dict.fromkeys(NAMES)
        return tuned_values(self.study, self.detector, self.tuning)

    def maps(self) -> dict[str, xr.Dataset]:
        """Maps of the rows by each method, see `maps_of`."""
        return all_maps(self.study, self.detector, self.rows, self.values, self.names)

    def picture(self, item: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Image (S, S, 3), planted mask (S, S) and maps (S, S) by method of one row."""
        row = self.rows.iloc[[item]]
        image, mask = self.study.images(self.detector, row)[0], self.study.masks(self.detector, row)
        return image, mask[0], {name: m.maps.values[item] for name, m in self.maps().items()}

    def ratios(self, name: str = VIBA) -> np.ndarray:
        """Relevance inside the mask over chance (T,) of a method's maps."""
        masks, maps = self.study.masks(self.detector, self.rows), self.maps()[name].maps.values
        return np.array([mass_ratio(r, m) for r, m in zip(maps, masks, strict=True)])

    def worst(self, name: str = VIBA) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """`picture` of the row on which a method's relevance lies worst."""
        ratios = self.ratios(name)
        return self.picture(int(np.argmin(np.where(np.isfinite(ratios), ratios, np.inf))))
