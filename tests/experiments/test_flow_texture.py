"""People whose videos have too little texture for flow are named, with the AUC of both groups."""

import pandas as pd

from viba_lib.experiments.flow_texture import texture_table, texture_text

AUC = pd.Series({"a": 0.7, "b": 0.9, "c": 0.95})


def table(inside: list[float]) -> pd.DataFrame:
    return pd.DataFrame({
        "identity": list("abc"), "videos": 3, "texture": [0.3, 2.0, 4.0], "inside": inside,
        "lowest": 0.5,
    })  # fmt: skip


def test_people_below_the_limit_are_named() -> None:
    text = texture_text(table([0.2, 1.0, 1.0]), AUC)
    assert "a (0.3)" in text and "at least 0.5" in text
    assert "AUC there: 0.70; of the 2 others: 0.90 to 0.95." in text
    assert "all 3 test people" in texture_text(table([0.5, 1.0, 1.0]), AUC)
    nobody = texture_text(table([0.0, 0.0, 0.0]), AUC.iloc[:0])
    assert nobody.endswith("AUC there: unknown.")


def test_each_test_person_is_measured_once(study) -> None:
    found = texture_table(study, "flow-vgg11")
    rows = study.predictions("flow-vgg11")
    real = rows[(rows.split == "test") & (rows.label == 0)]
    assert sorted(found.identity) == sorted(real.identity.unique())
    assert found.videos.sum() == real.video_id.nunique()
    assert found.texture.is_monotonic_increasing and (found.texture > 0).all()
    assert found.inside.between(0, 1).all() and found.lowest.nunique() == 1
