"""Equal budgets: what each method spends, and its localisation over the budget."""

import pandas as pd

from viba_lib.baselines.budget import BACKWARD
from viba_lib.baselines.explainers import budgeted, spent
from viba_lib.baselines.names import CONTROLS
from viba_lib.evaluation.significance import mean_of
from viba_lib.experiments.benchmark.maps import Benchmark, with_comparison
from viba_lib.experiments.benchmark.scores import localisation_scores


def budget_table(benchmark: Benchmark) -> pd.DataFrame:
    """Passes of each method for the map of a frame, from the settings.

    Returns
    -------
    method, forward and backward (passes), equivalents (forward-equivalents), budget (whether the
    method has one to set).
    """
    study = benchmark.study
    registered = study.registered(benchmark.detector)
    settings = study.stages.bottleneck(registered)
    passes, side = study.profile.comparison.passes, registered.size
    adaptable, rows = budgeted(), []
    for name in benchmark.names:
        used = spent(name, passes, side, settings, benchmark.values[name])
        rows.append((name, used.forward, used.backward, used.equivalents, name in adaptable))
    return pd.DataFrame(rows, columns=["method", "forward", "backward", "equivalents", "budget"])


def budget_text(table: pd.DataFrame, passes: int) -> str:
    """What a `budget_table` shows, for a budget of `passes`."""
    own = table[table.budget]
    above = own[own.equivalents > passes]
    fixed = table[~table.budget & ~table.method.isin(CONTROLS)]
    text = (
        f"The budget is {passes} forward-equivalents for a frame; a backward pass counts as "
        f"{BACKWARD} forward passes. The {len(own)} methods that have a budget spend "
        f"{own.equivalents.min():g} to {own.equivalents.max():g}"
    )
    if len(above):
        text += f"; the smallest design of {', '.join(above.method)} is larger than the budget"
    each = ", ".join(f"{row.method} {row.equivalents:g}" for row in fixed.itertuples())
    return text + (f". The others cannot spend more: {each}." if each else ".")


def budget_scores(benchmark: Benchmark, scores: pd.DataFrame) -> pd.DataFrame:
    """Localisation of the first frames by the methods that have a budget, for several budgets.

    Parameters
    ----------
    scores : `localisation_scores` of the benchmark, with the budget of the comparison

    Returns
    -------
    detector, method, video_id, passes (the budget), equivalents (spent), ratio. Frames without a
    mask are left out.
    """
    study, numbers = benchmark.study, benchmark.study.profile.comparison
    rows, names = benchmark.rows.head(numbers.budget_frames), set(budgeted())
    names &= set(benchmark.names)
    parts = []
    for passes in sorted({*numbers.budgets, numbers.passes}):
        part = benchmark
        if passes != numbers.passes:
            chosen = [name for name in benchmark.names if name in names]
            other = with_comparison(study, passes=passes)
            part = Benchmark(other, benchmark.detector, names=chosen, rows=rows)
            part.values = {name: benchmark.values[name] for name in chosen}
        found = scores if part is benchmark else localisation_scores(part)
        used = budget_table(part).set_index("method").equivalents
        found = found[found.video_id.isin(rows.video_id) & found.method.isin(names)]
        parts.append(found.assign(passes=passes, equivalents=found.method.map(used)))
    columns = ["detector", "method", "video_id", "passes", "equivalents", "ratio"]
    return pd.concat(parts, ignore_index=True)[columns]


def budget_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Means of `budget_scores`: detector, method, passes, equivalents, frames, ratio."""
    groups = scores.groupby(["detector", "method", "passes", "equivalents"], sort=False)
    return groups.ratio.agg(frames="size", ratio=mean_of).reset_index()


def curves_text(means: pd.DataFrame) -> str:
    """What `budget_means` show of each detector: the ratio at the smallest and largest budget."""
    sentences = []
    for detector, part in means.dropna(subset="ratio").groupby("detector", sort=False):
        ends = sorted(part.passes.unique())[:: max(1, part.passes.nunique() - 1)]
        wide = part.pivot(index="method", columns="passes", values="ratio")[ends]
        shown = ", ".join(
            f"{row.Index} {' to '.join(f'{value:.2f}' for value in row[1:])}"
            for row in wide.reindex(part.method.unique()).itertuples()
        )
        budgets = " and ".join(str(end) for end in ends)
        sentences.append(f"{detector}, mean ratio at a budget of {budgets}: {shown}.")
    return " ".join(sentences)
