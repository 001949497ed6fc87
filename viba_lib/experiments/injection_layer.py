"""The paper's injection layers compared, by picture and by number (chapter 05)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from viba_lib.bottleneck.split import SplitModel
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.faithfulness import deletion_areas, entropy, mass_ratio
from viba_lib.experiments.common import Bootstrap, Explained, choose_rows, with_intervals
from viba_lib.models.detectors import DETECTORS
from viba_lib.models.training import predict
from viba_lib.pipeline.study import Study

MEASURES = ("bits", "entropy", "ratio", "deletion", "over_random")


def layers_of(study: Study, detector: str, layer: str) -> list[str]:
    """Layers of a detector that are meant by a name, or by "all"; else the one the paper chose.

    Raises
    ------
    VibaError
        A layer that is none of the paper's, of either detector.
    """
    known = [name for each in DETECTORS for name in study.layers(each)]
    if layer != "all" and layer not in known:
        raise VibaError(f"layer {layer!r} is not known here; choose 'all' or one of {known}")
    meant = [name for name in study.layers(detector) if layer in ("all", name)]
    return meant or [study.layer(detector)]


def injection_maps(study: Study, layer: str, beta: float, count: int) -> dict[str, Explained]:
    """The same real and fake inputs, `count` each, explained at the injection layers.

    Raises
    ------
    VibaError
        A layer that is none of the paper's.
    """
    out = {}
    for detector in DETECTORS:
        rows = choose_rows(study, detector, count)
        maps = {
            name: study.explain(detector, rows, name, beta=beta).relevance.values
            for name in layers_of(study, detector, layer)
        }
        labels = [f"{r.method or 'real'}, {r.p_fake:.2f}" for r in rows.itertuples()]
        images, masks = study.images(detector, rows), study.masks(detector, rows)
        out[detector] = Explained(images, masks, labels, maps, rows)
    return out


def layer_measures(
    study: Study, layer: str, beta: float, count: int, steps: int = 10
) -> pd.DataFrame:
    """What can be measured of maps at each layer, frame by frame.

    Parameters
    ----------
    count : real and fake test videos each, one frame of each
    steps : of deletion, see `evaluation.faithfulness.deletion_areas`

    Returns
    -------
    detector, layer, video_id, label, and per frame: bits (in all), entropy (of the map over pixels,
    in bits), ratio (relevance inside the planted mask over chance; fakes only), deletion (area
    under the probability of the predicted class as the most relevant pixels go first), random (the
    same with pixels in random order), over_random (random less deletion).
    """
    parts = []
    for detector, inputs in injection_maps(study, layer, beta, count).items():
        rows = inputs.table
        random = np.random.default_rng(study.seed).random(inputs.masks.shape)
        plain = deletion_of(study, detector, rows, random, steps)
        for name, maps in inputs.maps.items():
            deletion = deletion_of(study, detector, rows, maps, steps)
            found = {
                "bits": maps.sum((1, 2)),
                "entropy": [entropy(r) for r in maps],
                "ratio": [mass_ratio(r, m) for r, m in zip(maps, inputs.masks, strict=True)],
                "deletion": deletion,
                "random": plain,
                "over_random": plain - deletion,
            }
            facts = rows[["video_id", "label"]].assign(detector=detector, layer=name)
            parts.append(facts.assign(**found))
            study.progress(f"{detector} at {name}: {len(rows)} maps measured")
    return pd.concat(parts, ignore_index=True)


def deletion_of(
    study: Study, detector: str, rows: pd.DataFrame, maps: np.ndarray, steps: int
) -> np.ndarray:
    """Deletion area (T,) of maps (T, S, S) of rows of `frames()`, see `deletion_areas`."""
    model, precision = study.detector(detector), study.settings(detector).training.precision

    def probabilities(batch: torch.Tensor) -> np.ndarray:
        return predict(model, batch, study.device, precision)

    return deletion_areas(probabilities, study.inputs(detector, rows), maps, steps)


def layer_table(measures: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Means of `layer_measures` by layer, with 95 % intervals over videos.

    Returns
    -------
    name, detector, layer, frames, and each of MEASURES with _low and _high.
    """

    def means(part: pd.DataFrame) -> Mapping[str, float]:
        return part[list(MEASURES)].mean().to_dict()

    rows = []
    for (detector, layer), part in measures.groupby(["detector", "layer"], sort=False):
        facts = {"name": f"{detector}, {layer}", "detector": detector, "layer": layer}
        rows.append(
            facts | {"frames": len(part)} | with_intervals(part, means, Bootstrap.of(study))
        )
    return pd.DataFrame(rows)


def against_the_papers(measures: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Each layer's measures less those of the layer that the paper chose, on the same frames.

    Returns
    -------
    name, detector, layer, and each of MEASURES with _low and _high: an interval that holds 0 tells
    nothing apart. Layers that the paper chose are left out.
    """

    def means(part: pd.DataFrame) -> Mapping[str, float]:
        return part[list(MEASURES)].mean().to_dict()

    rows = []
    for detector, of_detector in measures.groupby("detector", sort=False):
        parts = {name: part.set_index("video_id") for name, part in of_detector.groupby("layer")}
        chosen = study.layer(str(detector))
        for layer in of_detector.layer.unique():
            if layer != chosen and chosen in parts:
                less = parts[layer][list(MEASURES)] - parts[chosen][list(MEASURES)]
                facts = {"name": f"{layer} less {chosen}", "detector": detector, "layer": layer}
                rows.append(facts | with_intervals(less.reset_index(), means, Bootstrap.of(study)))
    return pd.DataFrame(rows)


def noise_response(
    study: Study, detector: str, row: pd.DataFrame, points: int = 11, draws: int = 8
) -> pd.DataFrame:
    """Probability of fake when the whole layer is mixed with noise at one lambda (chapter 04).

    Returns
    -------
    One row per lambda and draw: lambda, draw, p_fake.
    """
    layer = study.layer(detector)
    split = SplitModel(study.detector(detector), layer)
    statistics = study.statistics(detector, layer)
    generator = torch.Generator().manual_seed(study.seed)
    rows = []
    with torch.inference_mode():
        activation, context = split.head(study.inputs(detector, row).to(study.device))
        r = activation.cpu()
        noise = torch.randn(draws, *r.shape[1:], generator=generator)
        noise = noise * statistics.std + statistics.mean
        for lam in np.linspace(0, 1, points):
            z = (lam * r + (1 - lam) * noise) * statistics.active
            logits = split.tail(z.to(study.device), context, draws)
            fake = logits.float().softmax(1)[:, 1].cpu().numpy()
            rows += [{"lambda": lam, "draw": i, "p_fake": p} for i, p in enumerate(fake)]
    return pd.DataFrame(rows)
