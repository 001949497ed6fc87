"""States of stages are told without computing any."""

import json
from dataclasses import replace

from viba_lib.pipeline.status import stage_states, unfinished
from viba_lib.pipeline.study import Study


def test_explanations_wait_for_broken_clips_and_an_absent_data_set(tmp_path):
    study = Study("tiny", tmp_path / "data", tmp_path / "results")
    study.cache.folder(study.stages.prepared).mkdir(parents=True)
    found = {state.stage: state for state in stage_states(study)}
    assert (found["dataset"].state, found["prepare"].state) == ("absent", "broken")
    assert found["explain-xception"].why == "needs dataset and prepare"
    assert not study.cache.folder(study.stages.dataset).exists()
    names = [state.stage for state in unfinished(study)]
    assert names[:2] == ["dataset", "prepare"] and "explain-flow-vgg11" in names
    assert not {"readout-xception", "robustness-xception"} & set(names)


def test_an_absent_catalog_is_not_finished(tmp_path):
    (state,) = unfinished(Study("paper", tmp_path / "data", tmp_path / "results"))
    assert state.stage == "dataset" and "viba data catalog" in state.why


def test_broken_results_of_chapters_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study("tiny", "data", "results")
    chapter = study.root / "chapters" / "05_injection_layer" / "0123"
    chapter.mkdir(parents=True)
    record = {"files": {"a.ipynb": [3, "0" * 64]}, "seconds": 1.0, "key": {}, "sum": ""}
    (chapter / "meta.json").write_text(json.dumps(record), encoding="utf-8")
    (broken,) = [state for state in stage_states(study) if state.stage == "05_injection_layer"]
    assert broken.state == "broken"
    elsewhere = replace(broken, folder=str(chapter.resolve()))
    again = [state.stage for state in stage_states(study, [elsewhere])]
    assert "05_injection_layer" not in again, "each chapter is told once"
