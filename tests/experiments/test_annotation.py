"""The annotation form: it saves answers, resumes, and reveals nothing."""

import base64
import re

import numpy as np
import pandas as pd
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.data.video import write_video
from viba_lib.experiments.annotation import (
    AnnotationForm,
    AnnotationSession,
    clip_html,
    clips_to_annotate,
    progress_text,
)
from viba_lib.experiments.human_agreement import read_annotations

VIDEOS = ["v1", "v2", "v3"]


def press(form, *letters):
    for letter, button in form.regions.items():
        button.value = letter in letters
    form.next.click()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "annotations.csv"


def form_of(path, name="ann1", videos=VIDEOS):
    return AnnotationForm(AnnotationSession(path, name, videos), lambda video: f"<i>{video}</i>")


def test_answers_are_saved(path):
    form = form_of(path)
    order = form.session.videos
    assert sorted(order) == VIDEOS and form.video.value == f"<i>{order[0]}</i>"
    press(form, "B", "L")
    assert form.video.value == f"<i>{order[1]}</i>" and "1 answered" in form.state.value
    assert not any(b.value for b in form.regions.values()), "the next clip begins with none"
    press(form)
    press(form, "C")
    assert "thank you" in form.state.value
    table = read_annotations(path).set_index("video").regions
    assert [table[v] for v in order] == ["LB", "", "C"]


def test_a_user_s_own_columns_stay(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("annotator,video,regions,note\nB,v,L,NA\n")
    press(form_of(path), "N")
    table = read_annotations(path)
    assert table.note.tolist() == ["NA", ""] and table.regions.tolist() == ["L", "N"]


def test_an_answer_can_be_changed(path):
    form = form_of(path)
    press(form, "N")
    form.back.click()
    assert form.regions["N"].value and form.back.disabled
    press(form, "O")
    assert read_annotations(path).regions.tolist() == ["O"]


def test_an_interrupted_annotation_is_resumed(path):
    first = form_of(path)
    press(first, "L")
    other = form_of(path, "ann2")
    assert other.session.done == 0
    press(other, "E")
    again = form_of(path)
    assert again.session.videos == first.session.videos and again.session.at == 1
    press(again, "C")
    found = read_annotations(path)
    assert found.annotator.value_counts().to_dict() == {"ann1": 2, "ann2": 1}
    assert again.session.progress().clips.tolist() == [2, 1]


def test_orders_differ_between_annotators(path):
    many = [f"v{i}" for i in range(12)]
    orders = {tuple(AnnotationSession(path, name, many).videos) for name in "abc"}
    assert len(orders) == 3


def test_bad_input_is_named(path):
    with pytest.raises(VibaError, match="name"):
        AnnotationSession(path, " ", VIDEOS)
    with pytest.raises(VibaError, match="no clip"):
        AnnotationSession(path, "ann1", [])
    with pytest.raises(VibaError, match="not known"):
        AnnotationSession(path, "ann1", VIDEOS).answer(["X"])
    path.parent.mkdir(parents=True)
    path.write_text("who,what\n")
    with pytest.raises(VibaError, match="expected annotator"):
        AnnotationSession(path, "ann1", VIDEOS)
    path.write_text("annotator,video,regions\na,v1,LQ\n")
    with pytest.raises(VibaError, match="line 2: regions are 'LQ'"):
        read_annotations(path)
    path.write_text("annotator,video,regions\na,v1,L\na,v1,B\n")
    with pytest.raises(VibaError, match="line 3: annotator 'a' has a second"):
        read_annotations(path)


def test_an_answer_that_cannot_be_saved_is_reported(path):
    form = form_of(path)
    press(form, "L")
    path.write_text("spoilt")
    press(form, "B")
    assert "Not saved" in form.state.value and path.read_text() == "spoilt"


def test_the_clip_reveals_nothing(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (12, 60, 80, 3), dtype=np.uint8)
    write_video(tmp_path / "secret-mouth.mp4", frames, 12)
    row = pd.Series({"video_id": "secret-mouth", "path": "secret-mouth.mp4", "start": np.nan,
                     "end": 0.5})  # fmt: skip
    page = clip_html(row, tmp_path, tmp_path / "out")
    video = base64.b64decode(re.search(r"video/mp4;base64,([^\"]+)", page)[1])
    assert b"secret" not in video and "secret" not in page and "mouth" not in page
    (written,) = (tmp_path / "out").iterdir()
    before = written.stat().st_mtime_ns
    assert clip_html(row, tmp_path, tmp_path / "out") == page
    assert written.stat().st_mtime_ns == before, "written once"
    write_video(tmp_path / "secret-mouth.mp4", 255 - frames, 12)
    assert clip_html(row, tmp_path, tmp_path / "out") != page, "another seed's clip is shown"


def test_fakes_of_all_methods_are_shown():
    rows = pd.DataFrame([
        {"video_id": f"{method}-{i}", "position": 0, "label": int(method != ""), "method": method}
        for method in ("", "mouth", "eyes", "lag") for i in range(3)
    ])  # fmt: skip
    few = clips_to_annotate(rows, 4)
    assert {v.split("-")[0] for v in few} == {"mouth", "eyes", "lag"} and len(few) == 4
    assert len(clips_to_annotate(pd.concat([rows, rows]), 99)) == 9
    assert len(clips_to_annotate(rows, 99, with_real=True)) == 12


def test_progress_is_said_with_what_it_allows():
    table = pd.DataFrame({"annotator": ["a", "b"], "clips": [3, 2], "marked": [3.0, 1.5]})
    assert progress_text(table.head(0), 3).startswith("Nobody has answered yet")
    one = progress_text(table.head(1), 3)
    assert "1 (a 3 of 3 clips with 3.0 regions on average)" in one and "needs two or more" in one
    two = progress_text(table, 3)
    assert "an overlap of 0.50 at most" in two and "agreement beyond chance" in two
