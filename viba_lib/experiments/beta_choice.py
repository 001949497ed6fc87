"""The trade-off weight beta of a detector, chosen on validation frames."""

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.core.errors import VibaError
from viba_lib.experiments.localisation import localisation
from viba_lib.experiments.noise_class import kept_decisions
from viba_lib.pipeline.study import Study

BETAS = (30.0, 10.0, 3.0, 1.0)
KEEP = 0.9  # fraction of the decisions that a bottleneck has to keep


def validation_rows(study: Study, detector: str, frames: int) -> pd.DataFrame:
    """One frame of each of up to `frames` validation videos, sampled with the study's seed.

    Raises
    ------
    VibaError
        The detector has no validation video.
    """
    rows = study.frames("val", detector).groupby("video_id").head(1)
    if rows.empty:
        raise VibaError(
            f"profile {study.profile.name!r} has no validation video for {detector}, and beta is "
            "chosen on such videos; expected rows with split 'val' in the catalog"
        )
    return rows.sample(min(frames, len(rows)), random_state=study.seed).sort_index()


def beta_row(beta: float, maps: xr.Dataset, ratio: float) -> dict[str, float]:
    """Decisions that a bottleneck keeps, in all and for each class.

    Parameters
    ----------
    maps : of `Study.explain` at this beta
    ratio : mean relevance mass ratio of these maps
    """
    frames = maps[["p_fake", "p_fake_bottleneck"]].to_dataframe()
    kept_fake, fake = kept_decisions(frames, fake=True)
    kept_real, real = kept_decisions(frames, fake=False)
    return {
        "beta": beta, "kept": (kept_fake + kept_real) / len(frames),
        "kept_fake": kept_fake, "fake": fake, "kept_real": kept_real, "real": real, "ratio": ratio,
    }  # fmt: skip


def beta_table(study: Study, detector: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The decisions kept at each of `BETAS`, and the relevance on planted artefacts.

    Parameters
    ----------
    rows : of `validation_rows`

    Returns
    -------
    beta, kept (fraction of all decisions), kept_fake of fake and kept_real of real (numbers of
    decisions for a class), ratio (mean relevance mass ratio of the fakes with a mask; NaN without).
    """
    found = []
    for beta in BETAS:
        maps = study.explain(detector, rows, beta=beta)
        fakes = int((maps.label.values == 1).sum())
        ratio = localisation(study, detector, maps).ratio.mean() if fakes else np.nan
        found.append(beta_row(beta, maps, float(ratio)))
    return pd.DataFrame(found)


def chosen_beta(table: pd.DataFrame) -> float | None:
    """The largest beta that keeps at least `KEEP` of the decisions; None if none does.

    A larger beta removes more information, so that the map is more selective; but a map of a
    decision that the bottleneck changes lacks evidence that the decision needs.
    """
    enough = table[table.kept >= KEEP]
    return float(enough.beta.max()) if len(enough) else None


def beta_text(detector: str, table: pd.DataFrame, own: float) -> str:
    """The chosen beta, compared with the profile's.

    Parameters
    ----------
    own : beta of the profile for this detector
    """
    chosen = chosen_beta(table)
    decisions = int(table[["fake", "real"]].iloc[0].sum())
    if chosen is None:
        return (
            f"{detector}: at no beta of {', '.join(f'{b:g}' for b in table.beta)} does the "
            f"bottleneck keep {KEEP:.0%} of {decisions} decisions on validation frames. Maps of "
            "changed decisions lack evidence; the profile's beta stays "
            f"{own:g}."
        )
    text = (
        f"{detector}: beta {chosen:g} is the largest at which the bottleneck keeps {KEEP:.0%} of "
        f"{decisions} decisions on validation frames."
    )
    if chosen == own:
        return f"{text} The profile has this value."
    return f"{text} The profile has {own:g}; set `beta: {chosen:g}` for this detector in it."
