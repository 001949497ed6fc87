"""States of stages are told without computing any."""

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
