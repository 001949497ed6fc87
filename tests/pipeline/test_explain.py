"""The class that a bottleneck is optimised for, by the name of the target."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from viba_lib.pipeline import explain


@pytest.mark.parametrize(
    ("target", "classes"), [("predicted", None), ("true", [0, 1, 1]), ("false", [1, 0, 0])]
)
def test_the_target_names_the_class(target, classes, monkeypatch):
    given = []
    monkeypatch.setattr(explain, "ClipStore", lambda _: {"clip": "prepared"})
    monkeypatch.setattr(
        explain, "explain_inputs", lambda _job, _inputs, labels: given.append(labels)
    )
    detector = SimpleNamespace(
        inputs=lambda _clip, at, _size: torch.zeros(len(at), 3, 8, 8), size=8
    )
    job = SimpleNamespace(target=target, clips=Path(), detector=detector)
    rows = pd.DataFrame({"path": "clip", "position": range(3), "label": [0, 1, 1]})
    explain.explain_part(job, rows)
    assert (given[0] if classes is None else given[0].tolist()) == classes
