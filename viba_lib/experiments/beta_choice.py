"""The trade-off weight beta of a detector, chosen on validation frames."""

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.core.errors import VibaError
from viba_lib.experiments.localisation import localisation
from viba_lib.experiments.noise_class import kept_decisions
from viba_lib.pipeline.study import Study

BETAS = (10.0, 3.0, 1.0)  # the default, and smaller ones
KEEP = 0.9  # fraction of the decisions for each class that a bottleneck has to keep


def validation_rows(study: Study, detector: str, frames: int) -> pd.DataFrame:
    """One frame of each of up to `frames` validation videos, sampled with the study's seed.

    Half of them are decided as fake, if there are so many, and the others as real. Otherwise a
    bottleneck that changes every decision for the rarer class would still keep most decisions.

    Raises
    ------
    VibaError
        The detector has no validation video.
    """
    rows = study.predictions(detector)
    rows = rows[(rows.split == "val") & rows.in_scope]
    if rows.empty:
        raise VibaError(
            f"profile {study.profile.name!r} has no validation video for {detector}, and beta is "
            "chosen on such videos; expected rows with split 'val' in the catalog"
        )
    drawn = rows.sample(frac=1, random_state=study.seed)
    fakes = drawn[drawn.p_fake > 0.5].drop_duplicates("video_id").head(frames // 2)
    others = drawn[(drawn.p_fake <= 0.5) & ~drawn.video_id.isin(fakes.video_id)]
    others = others.drop_duplicates("video_id").head(frames - len(fakes))
    return pd.concat([fakes, others]).sort_index()


def beta_row(beta: float, maps: xr.Dataset, ratio: float) -> dict[str, float]:
    """Decisions that a bottleneck keeps for each class, and the smaller of both fractions.

    Parameters
    ----------
    maps : of `Study.explain` at this beta
    ratio : mean relevance mass ratio of these maps
    """
    frames = maps[["p_fake", "p_fake_bottleneck"]].to_dataframe()
    kept_fake, fake = kept_decisions(frames, fake=True)
    kept_real, real = kept_decisions(frames, fake=False)
    shares = [kept / count for kept, count in ((kept_fake, fake), (kept_real, real)) if count]
    return {
        "beta": beta, "kept": min(shares),
        "kept_fake": kept_fake, "fake": fake, "kept_real": kept_real, "real": real, "ratio": ratio,
    }  # fmt: skip


def beta_table(study: Study, detector: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The decisions kept at each of `BETAS`, and the relevance on planted artefacts.

    Parameters
    ----------
    rows : of `validation_rows`

    Returns
    -------
    beta, kept_fake of fake and kept_real of real (numbers of decisions for a class), kept (the
    smaller fraction of both classes), ratio (mean relevance mass ratio of the fakes with a mask;
    NaN if there are none).
    """
    found = []
    for beta in BETAS:
        maps = study.explain(detector, rows, beta=beta)
        fakes = int((maps.label.values == 1).sum())
        ratio = localisation(study, detector, maps).ratio.mean() if fakes else np.nan
        found.append(beta_row(beta, maps, float(ratio)))
    return pd.DataFrame(found)


def chosen_beta(table: pd.DataFrame) -> float | None:
    """The largest beta that keeps at least `KEEP` of the decisions for each class, or None.

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
            f"bottleneck keep {KEEP:.0%} of the decisions for each class, of {decisions} on "
            f"validation frames. Maps of changed decisions lack evidence; the profile's beta stays "
            f"{own:g}."
        )
    text = (
        f"{detector}: beta {chosen:g} is the largest at which the bottleneck keeps {KEEP:.0%} of "
        f"the decisions for each class, of {decisions} on validation frames."
    )
    if chosen == own:
        return f"{text} The profile has this value."
    return f"{text} The profile has {own:g}; set `beta: {chosen:g}` for this detector in it."
