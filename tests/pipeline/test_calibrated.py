"""A training with `calibrate` stores what it was calibrated on, and its page says so."""

import json

import pytest

from viba_lib.pipeline.profiles import load_profile
from viba_lib.pipeline.study import Study


@pytest.mark.network
@pytest.mark.parametrize("name", ["xception", "flow-vgg11"])
def test_a_trained_detector_is_calibrated_on_validation_frames(fetched, name: str) -> None:
    profile = load_profile("tiny")
    section = "xception" if name == "xception" else "flow"
    settings = getattr(profile, section)
    training = settings.training.model_copy(update={"calibrate": True})
    changed = profile.model_copy(
        update={section: settings.model_copy(update={"training": training})}
    )
    plain, study = Study(profile, *fetched), Study(changed, *fetched)
    stored = json.loads((study.weights_path(name).parent / "source.json").read_text())
    found = stored["calibration"]
    assert found["people"] == 2 and found["frames"] % 4 == 0 and "scale" not in found
    assert f"calibrated on {found['frames']} validation frames of 2 people" in str(
        study.provenance([name])
    )
    assert study.weights_path(name).read_bytes() != plain.weights_path(name).read_bytes()
