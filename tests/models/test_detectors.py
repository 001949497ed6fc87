"""The registry of detectors: inputs of prepared clips, and detectors of users."""

import dataclasses
import pickle
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.baselines.names import VIBA
from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.forward import Forward
from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.flow import farneback, flow_to_input, flow_to_rgb, scale_flow
from viba_lib.data.prepare import PreparationSettings, prepared_rows
from viba_lib.evaluation.randomisation import random_labels
from viba_lib.evaluation.robustness import corrupt
from viba_lib.models.detectors import (
    DETECTORS,
    FLOW_VGG11,
    MODULES,
    XCEPTION,
    Detector,
    face_images,
    face_inputs,
    find_detector,
    flow_fields,
)
from viba_lib.models.training import TrainingSettings, predict
from viba_lib.models.weights import save_weights
from viba_lib.pipeline.explain import ExplainJob, explain_inputs
from viba_lib.pipeline.run import forward_of

BOTH = pytest.mark.parametrize("detector", DETECTORS.values(), ids=list(DETECTORS))


@pytest.fixture(scope="module")
def clip(face_frames: np.ndarray) -> PreparedClip:
    settings = PreparationSettings(spatial_size=96, flow_size=64)
    masks = {i: np.full(f.shape[:2], 40 * i, np.uint8) for i, f in enumerate(face_frames)}
    found = PreparedClip.stack(
        prepared_rows(enumerate(face_frames), np.array([0, 1, 2]), settings, masks)
    )
    found.masks[0, 20:40, 30:70] = 200
    return found


def small() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def toy() -> Detector:
    return Detector("toy", small, ("0",), 32, face_inputs, face_images, XCEPTION.degrade)


def not_a_detector() -> str:
    return "toy"


NAMED = f"{__name__}:toy"


@pytest.mark.parametrize("size", [96, 48])
@pytest.mark.parametrize("positions", [None, [0, 2]])
def test_inputs_of_the_face_detector_are_its_crops(clip, positions, size) -> None:
    faces = clip.faces if positions is None else clip.faces[positions]
    images = np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in faces])
    np.testing.assert_array_equal(XCEPTION.images(clip, positions, size), images)
    inputs = XCEPTION.inputs(clip, positions, size)
    assert inputs.dtype == torch.float32 and inputs.shape == (len(faces), 3, size, size)
    np.testing.assert_array_equal(inputs, images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)


@pytest.mark.parametrize("size", [64, 48])
@pytest.mark.parametrize("positions", [None, [0, 2]])
def test_inputs_of_the_motion_detector_are_scaled_flow(clip, positions, size) -> None:
    stored = clip.flow if positions is None else clip.flow[positions]
    fields = [scale_flow(f.astype(np.float32).transpose(1, 2, 0), size) for f in stored]
    inputs = FLOW_VGG11.inputs(clip, positions, size)
    assert inputs.dtype == torch.float32 and inputs.shape == (len(fields), 3, size, size)
    np.testing.assert_array_equal(inputs, np.stack([flow_to_input(f) for f in fields]))
    images = FLOW_VGG11.images(clip, positions, size)
    np.testing.assert_array_equal(images, np.stack([flow_to_rgb(f) for f in fields]))
    np.testing.assert_array_equal(flow_fields(clip, positions, size), fields)


@BOTH
def test_masks_are_shares_of_each_pixel(clip, detector) -> None:
    masks = detector.masks(clip, [2, 0], 48)
    assert masks.dtype == np.float32 and masks.shape == (2, 48, 48)
    expected = cv2.resize(clip.masks[0], (48, 48), interpolation=cv2.INTER_AREA) / np.float32(255)
    np.testing.assert_array_equal(masks[1], expected)
    assert masks[1].max() == pytest.approx(200 / 255)


@BOTH
def test_no_frames_give_empty_arrays(clip, detector) -> None:
    assert detector.inputs(clip, [], 48).shape == (0, 3, 48, 48)
    assert detector.degrade(clip, [], np.copy, 48).shape == (0, 3, 48, 48)
    assert detector.images(clip, [], 48).shape == (0, 48, 48, 3)
    assert detector.masks(clip, [], 48).shape == (0, 48, 48)


def test_images_are_degraded_before_they_become_inputs(clip) -> None:
    def change(image: np.ndarray) -> np.ndarray:
        return corrupt(image, "h264", 40)

    face = XCEPTION.degrade(clip, [1], change, 96)[0]
    expected = change(clip.faces[1]).transpose(2, 0, 1) / np.float32(127.5) - 1
    np.testing.assert_array_equal(face, expected)
    expected = flow_to_input(scale_flow(farneback(*change(clip.pairs[1])), 48))
    np.testing.assert_array_equal(FLOW_VGG11.degrade(clip, [1], change, 48)[0], expected)


@BOTH
def test_a_registered_detector_has_its_layers_and_two_outputs(detector, tmp_path) -> None:
    model = detector.build()
    assert set(detector.layers) <= set(dict(model.named_modules()))
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 2)
    assert detector.start(None, tmp_path).weights_source == "random weights"


@BOTH
def test_the_budget_decides_how_batches_are_made(clip, detector) -> None:
    frames = pd.DataFrame({"path": "a", "position": [0, 1], "identity": "x", "label": [0, 1]})
    method = "jitter" if detector.temporal else "mouth"
    for budget, count in (({"steps": 3}, 3), ({"epochs": 2}, 2)):
        training = TrainingSettings(batch_size=2, **budget)
        batches = detector.batches({"a": clip}, frames, 48, training, [method], 0)
        assert len(batches) == count and batches.per_epoch == (1 if "epochs" in budget else None)
        inputs, labels = batches[0]
        assert inputs.shape == (2, 3, 48, 48) and sorted(labels.tolist()) == [0, 1]


def test_a_users_detector_is_named_by_its_function(clip) -> None:
    found = find_detector(NAMED)
    assert found == toy() and found.start is None
    assert found.inputs(clip, None, found.size).shape == (3, 3, 32, 32)
    assert find_detector("xception") is XCEPTION


def test_a_users_module_may_lie_in_the_current_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lies_here.py").write_text(f"from {__name__} import toy\n")
    monkeypatch.chdir(tmp_path)
    assert find_detector("lies_here:toy") == toy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(:", "SyntaxError"),
        ("make = undefined", "NameError: name 'undefined'"),
        ("def make(needed): ...", "TypeError: make.. missing 1 required"),
        ("def make(): return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_mistakes_in_a_users_module_are_named(tmp_path, monkeypatch, text, said) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(MODULES, str(tmp_path))
    name = f"wrong_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(VibaError, match=f"cannot be imported .{said}.*; expected module:function"):
        find_detector(f"{name}:make")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "'resnet' is not known; choose one of xception, flow-vgg11, or give module:"),
        (":toy", "not known"),
        (f"{__name__}:", "not known"),
        ("no_such_module:toy", "cannot be imported .*no_such_module.*; expected module:function"),
        (f"{__name__}:no_such_function", "cannot be imported .*no_such_function"),
        (f"{__name__}:not_a_detector", "gives str; expected a function that returns"),
    ],
)
def test_a_wrong_name_is_refused(name, message) -> None:
    with pytest.raises(VibaError, match=message):
        find_detector(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "'a/b' cannot be part of a file name"),
        ({"name": ""}, "cannot be part"),
        ({"layers": ()}, "tuple of dotted names"),
        ({"layers": "block4"}, "tuple of dotted names"),
        ({"start": XCEPTION.start}, "only one of `start` and `batches`"),
        ({"files": ("no_such.pt",)}, "no_such.pt of detector 'toy' does not exist"),
    ],
)
def test_a_detector_that_cannot_work_is_refused(change, message) -> None:
    with pytest.raises(VibaError, match=message):
        dataclasses.replace(toy(), **change)


def test_detectors_can_be_sent_to_worker_processes() -> None:
    for detector in (*DETECTORS.values(), toy()):
        assert pickle.loads(pickle.dumps(detector)) == detector


def test_other_weights_in_a_file_change_the_digest(tmp_path) -> None:
    file, digests = tmp_path / "weights.pt", set()
    for content in (b"first", b"second"):
        file.write_bytes(content)
        digests.add(dataclasses.replace(toy(), files=(file,)).digest)
    assert len(digests) == 2


def test_the_digest_covers_name_layers_size_and_functions() -> None:
    digests = {
        dataclasses.replace(toy(), **change).digest
        for change in (
            {},
            {"name": "other"},
            {"layers": ("0", "3")},
            {"size": 48},
            {"build": XCEPTION.build},
            {"inputs": FLOW_VGG11.inputs},
        )
    }
    assert len(digests) == 6
    assert toy().digest == toy().digest
    assert XCEPTION.digest != FLOW_VGG11.digest


class Own(nn.Module):
    """A user's network with a buffer that no file contains."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.register_buffer("weights", torch.tensor([1.0, 2.0, scale]), persistent=False)

    def forward(self, x):
        return self.last(x.mean((2, 3)) * self.weights)


def stubborn() -> nn.Module:
    """A network that computes with its random weights when it is built."""
    with torch.no_grad():
        return Own(float(nn.Linear(1, 1).weight.sum().item() * 0 + 3))


@pytest.mark.parametrize("build", [small, Own, stubborn])
def test_a_network_with_weights_of_a_file_computes_what_the_saved_one_did(tmp_path, build) -> None:
    saved = build()
    weights = save_weights(saved, tmp_path / "own.safetensors")
    opened = dataclasses.replace(toy(), build=build).open(weights)
    frames = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(opened(frames), saved.eval()(frames))
    assert all(p.requires_grad for p in opened.parameters()) and not opened.training


def test_no_random_number_is_drawn_for_weights_of_a_file(tmp_path) -> None:
    weights = save_weights(FLOW_VGG11.build(), tmp_path / "flow.safetensors")
    state = torch.get_rng_state()
    FLOW_VGG11.open(weights)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_in_half_precision_become_those_of_the_network(tmp_path) -> None:
    weights = save_weights(small().half(), tmp_path / "half.safetensors")
    opened = toy().open(weights)
    assert {p.dtype for p in opened.parameters()} == {torch.float32}
    assert opened(torch.randn(1, 3, 8, 8)).dtype == torch.float32


def one_logit() -> nn.Module:
    """The logit of fake that `small` decides with, before the sigmoid."""
    network = small()
    with torch.no_grad():
        weight, bias = network[3].weight.diff(dim=0), network[3].bias.diff(dim=0)
        network[3] = nn.Linear(4, 1)
        network[3].weight.copy_(weight)
        network[3].bias.copy_(bias)
    return network


def many_classes() -> nn.Module:
    network = small()
    network[3] = nn.Linear(4, 5)
    return network


@pytest.fixture
def explained(tmp_path):
    """`explain_inputs` and the comparison of a network's detector."""

    def run(build):
        detector = dataclasses.replace(toy(), build=build)
        weights = save_weights(build(), tmp_path / f"{build.__name__}.safetensors")
        model = detector.open(weights)
        frames = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        with pytest.warns(UserWarning, match="statistics of"):
            statistics = LayerStatistics.estimate(model, "0", [frames])
        bottleneck = {"steps": 2, "noise_samples": 1, "precision": "float32"}
        job = ExplainJob(
            detector=detector, weights=weights, layer="0", bottleneck=bottleneck, device="cpu",
            statistics=statistics.save(tmp_path / f"{build.__name__}-0.safetensors"),
            noise_draws=2,
        )  # fmt: skip
        found = explain_inputs(job, frames[:2], torch.tensor([1, 0]))
        found["predicted"] = explain_inputs(job, frames[:2])["relevance"]
        found["probabilities"] = predict(forward_of(detector, model, "float32"), frames)
        network = Network(model, ("0",), {"0": statistics}, bottleneck, Forward(model, frames[:1]))
        for name in (VIBA, "Grad-CAM", "Integrated gradients", "Occlusion", "RISE"):
            found[name] = explain_with(name, network, frames[:2], [1, 1], passes=16)
        shuffled = random_labels(model, frames, torch.arange(6) % 2)
        found["random labels"] = predict(shuffled, frames)
        return found

    return run


def test_a_detector_with_one_logit_is_that_with_two(explained) -> None:
    one, two = explained(one_logit), explained(small)
    assert one["p_fake"].shape == (2,) and one["p_fake_draws"].shape == (2, 2)
    for name in two:
        if name in ("Grad-CAM", "Integrated gradients"):  # of z, and of the second of two logits
            assert one[name].shape == two[name].shape and one[name].any()
        else:
            np.testing.assert_allclose(one[name], two[name], 1e-3, 1e-4, err_msg=name)


def test_a_detector_of_many_classes_is_refused(explained) -> None:
    with pytest.raises(VibaError, match=r"has 5 classes; expected logits \(real, fake\), or one"):
        explained(many_classes)
