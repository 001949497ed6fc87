"""The diagram of a run shows the declared stages, and nothing that is not declared."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyBboxPatch

from viba_lib.core.cache import External, Stage
from viba_lib.models.detectors import DETECTORS, FLOW_VGG11, XCEPTION
from viba_lib.pipeline.profiles import load_profile
from viba_lib.pipeline.stages import Stages
from viba_lib.visual import pipeline_figure
from viba_lib.visual.pipeline_figure import pipeline_diagram, pipeline_sentence, roles

ROWS = pd.DataFrame({"video_id": ["a"], "position": [0]})


def shared() -> list[Stage]:
    """The stages of a run, as `02_dataset_construction` shows them."""
    stages = Stages(load_profile("tiny"), 0, Path("data"))
    found = [stages.detector(name) for name in DETECTORS]
    return [*stages.shared(), *(stages.explained(d, d.layers[0], ROWS) for d in found)]


def count(folder, work, **inputs):
    """Number of artefacts in each frame, see `viba_lib`.

    More about it.
    """


def added(name: str, *inputs: Stage, detector=None) -> Stage:
    given = {stage.name: stage for stage in inputs}
    return Stage(name, count, inputs=given | ({"detector": detector} if detector else {}))


def shown(stages) -> list[str]:
    return [text.get_text() for text in pipeline_diagram(stages).axes[0].texts]


def arrows(stages) -> int:
    return sum(not text for text in shown(stages))


def test_the_roles_are_those_of_the_run_with_their_direct_inputs():
    found = {role.name: role for role in roles(shared())}
    assert list(found)[:3] == ["dataset", "prepare", "train"]
    assert found["prepare"].inputs == ("dataset",) and not found["prepare"].detectors
    assert found["predict"].inputs == ("train",), "data come through the weights"
    assert found["explain"].inputs == ("statistics",)
    assert [d.name for d in found["explain"].detectors] == list(DETECTORS)
    assert [d.name for d in found["readout"].detectors] == ["xception"]
    assert found["prepare"].computes == "Key frames, face crops and flow fields of all videos"


def test_inputs_come_before_the_roles_that_use_them():
    found = roles(shared())
    order = [role.name for role in found]
    for role in found:
        assert all(order.index(name) < order.index(role.name) for name in role.inputs), role.name


def test_an_added_stage_appears_with_its_arrow():
    stages = shared()
    explained = stages[-2]
    more = added("count-xception", explained, detector=XCEPTION)
    assert "count" not in shown(stages) and "count" in shown([*stages, more])
    assert "Number of artefacts in each frame" in shown([*stages, more])
    assert arrows([*stages, more]) == arrows(stages) + 1


def test_a_stage_that_is_only_an_input_appears():
    hidden = added("clean")
    assert shown([added("use", hidden)]).count("clean") == 1
    assert roles([added("use", hidden)])[-1].inputs == ("clean",)


def test_a_file_from_outside_appears_by_its_name():
    catalog = External(Path("data/catalog.parquet"), "hash")
    stage = Stage("prepare", count, inputs={"dataset": catalog})
    assert [role.name for role in roles([stage])] == ["dataset", "prepare"]
    assert "File catalog.parquet" in shown([stage])


def test_a_shared_stage_can_use_those_of_detectors():
    each = [added(f"train-{d.name}", detector=d) for d in (XCEPTION, FLOW_VGG11)]
    other = added("check", *each)
    both = added("compare", *each, other)
    assert roles([both])[-1].inputs == ("check",)
    assert arrows([both]) == 2
    assert arrows([other, added("more", *each)]) == 2, "beside the box between them as well"


def test_lines_in_the_same_rows_lie_beside_each_other():
    first = added("first")
    middle = added("middle-xception", first, detector=XCEPTION)
    last = added("last-xception", middle, detector=XCEPTION)
    long = added("long-xception", first, detector=XCEPTION)
    found = roles([last, long])
    lines = pipeline_figure._lines(found, [XCEPTION])
    overlapping = [(a, b) for a in lines for b in lines if a is not b and a.overlaps(b)]
    assert overlapping and all(lines[a] != lines[b] for a, b in overlapping)


def test_a_third_detector_has_a_colour_and_a_label():
    third = replace(XCEPTION, name="third", title="A third detector with a long title")
    stages = [added(f"train-{d.name}", detector=d) for d in (XCEPTION, FLOW_VGG11, third)]
    figure = pipeline_diagram(stages)
    filled = [p.get_facecolor() for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert len(set(filled)) == 4
    assert "third detector" in " ".join(shown(stages))


@pytest.mark.parametrize("stages", [shared(), shared()[:1]], ids=["run", "without detectors"])
def test_text_lies_inside_its_box_and_is_readable(stages):
    figure = pipeline_diagram(stages)
    figure._repr_png_()
    axis = figure.axes[0]
    boxes = [p.get_window_extent() for p in axis.patches if isinstance(p, FancyBboxPatch)]
    for text in axis.texts:
        if text.get_text():
            a = text.get_window_extent()
            inside = (
                b.x0 <= a.x0 and a.x1 <= b.x1 and b.y0 <= a.y0 and a.y1 <= b.y1 for b in boxes
            )
            assert any(inside), text.get_text()
            # CSS pixels on a page whose images are 358 px wide, as on a phone of 390 px.
            assert text.get_size() * 358 / (72 * figure.get_figwidth()) > 11


def test_text_has_contrast_on_every_box():
    def luminance(colour):
        rgb = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    for colour in (pipeline_figure.BOX, *pipeline_figure.OTHERS):
        assert luminance(colour) / luminance(pipeline_figure.TEXT) >= 4.5


def test_the_sentence_names_what_is_computed_for_whom():
    text = pipeline_sentence(shared())
    assert text.startswith("Computed in this run: dataset, prepare for all detectors together;")
    assert "train, predict, robustness, statistics, explain for xception and flow-vgg11" in text
    assert text.endswith("; readout for xception.")
