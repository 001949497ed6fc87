"""The paper's qualitative claims, each with a result and a verdict (`15_paper_and_run`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.core.words import plural
from viba_lib.evaluation.sentences import (
    CONTRADICTS,
    ILLUSTRATION,
    NOT_COMPUTED,
    SUPPORTS,
    UNDECIDED,
    Finding,
    behind,
    claim_verdict,
    number,
)
from viba_lib.evaluation.significance import SIGNIFICANCE
from viba_lib.experiments.claims_by_design import Fact
from viba_lib.experiments.claims_measured import TESTS, ClaimTables, Measured
from viba_lib.experiments.paper_numbers import read_yaml
from viba_lib.visual.html_table import chapter_link

CLAIMS: Mapping[str, Mapping[str, Any]] = read_yaml("claims")
NOT_TESTED = "not tested here"
EVIDENCE = {"run": "this run's videos", "toy": "a toy network", "design": "definition", "none": ""}
_OF_FACT = {True: SUPPORTS, False: CONTRADICTS, None: UNDECIDED}


def _verdict(claim: Mapping[str, Any], tested: Measured | Fact) -> str:
    if isinstance(tested, Fact):
        return _OF_FACT[tested.holds]
    return claim_verdict(tested.found, claim["expected"], claim.get("margin", float("nan")))


def _shown(found: Finding, toy: bool) -> str:
    if not found.videos or not np.isfinite(found.estimate):
        return "no video has a value"
    many = plural(found.videos, "input of a toy network", "inputs of a toy network")
    return (
        f"{number(found.estimate)} ({number(found.low)} to {number(found.high)}) against "
        f"{number(found.at)}; p = {number(found.p)}; {many if toy else behind(found)}"
    )


def _result(claim: Mapping[str, Any], tested: Measured | Fact) -> str:
    if isinstance(tested, Fact):
        return tested.text
    shown = _shown(tested.found, claim["kind"] == "toy")
    return f"{shown}; {tested.note}" if tested.note else shown


def claims_table(tables: ClaimTables) -> pd.DataFrame:
    """Every claim with its result, in the order of the paper's sections.

    Returns
    -------
    name, section, claim, tested (how), evidence (one of EVIDENCE), result (with its 95 % interval),
    verdict, and for findings estimate, low, high, p, videos, clips and people, otherwise NaN;
    chapter (its stem).
    """
    rows = []
    for name, claim in CLAIMS.items():
        facts = {"name": name} | {k: claim[k] for k in ("section", "claim", "tested", "chapter")}
        facts["evidence"] = EVIDENCE[claim["kind"]]
        if claim["kind"] == "none":
            rows.append(facts | {"result": claim["why"], "verdict": NOT_TESTED})
            continue
        tested = TESTS[name](tables)
        facts |= {"result": _result(claim, tested), "verdict": _verdict(claim, tested)}
        numbers = tested.found._asdict() if isinstance(tested, Measured) else {}
        rows.append(numbers | facts)  # `tested` of a finding is not how a claim is tested
    return pd.DataFrame(rows)


def claims_for_page(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of `claims_table` as a page shows them, with links to chapters."""
    links = [chapter_link(stem) for stem in table.chapter]
    shown = table.rename(columns={"section": "Section", "tested": "how it is tested"})
    shown = shown.assign(more=links)
    columns = ["Section", "claim", "how it is tested", "evidence", "result", "verdict", "more"]
    return shown[columns]


def claims_text(table: pd.DataFrame) -> str:
    """Headline of a `claims_table`: how many claims have which verdict, and from what evidence."""
    counts = table.verdict.value_counts()
    parts = [
        f"{(n := counts.get(said, 0))} {'is' if n == 1 else 'are'} {words}"
        for said, words in (
            (SUPPORTS, "supported"), (CONTRADICTS, "contradicted"), (UNDECIDED, "undecided"),
            (ILLUSTRATION, "illustrated by too few people or videos for a verdict"),
            (NOT_COMPUTED, "not computed for lack of masks or frames"),
            (NOT_TESTED, "not tested here"),
        )
        if said in counts or said in (SUPPORTS, CONTRADICTS, UNDECIDED)
    ]  # fmt: skip
    decided = table[table.verdict.isin([SUPPORTS, CONTRADICTS])]
    kinds = pd.crosstab(decided.evidence, decided.verdict)
    own, tests = [EVIDENCE["run"]], int(table.p.notna().sum())
    videos = int(kinds.reindex(own, fill_value=0).to_numpy().sum())
    return (
        f"Of {plural(len(table), 'claim')} of the paper, {', '.join(parts)}. "
        f"{videos} of the {len(decided)} verdicts rest on this run's videos, which are not the "
        "paper's; the others follow from definitions, from the paper's own numbers, or from toy "
        f"networks. Of {tests} tests at 5 %, {tests * SIGNIFICANCE:.0f} are expected to decide by "
        "chance if nothing differed: they are not corrected for their number."
    )
