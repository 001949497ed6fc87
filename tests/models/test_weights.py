"""Weights files: every form gives the same logits, and no file runs code or fits by accident."""

import pickle
import random
import zipfile

import h5py
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from viba_lib.models import flow_vgg11, save_weights, xception
from viba_lib.models.keras_xception import keras_xception_state
from viba_lib.models.weights import WeightsError, load_weights, read_state


@pytest.fixture(scope="module")
def flow():
    torch.manual_seed(0)
    return flow_vgg11()


@pytest.fixture(scope="module")
def face():
    """Xception with random weights whose batch norms are not the identity."""
    torch.manual_seed(0)
    model = xception()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.8, 1.2)
    return model


def ours(state):
    return dict(state)


def as_in_the_papers_repository(state):
    """`model.` before each key; the classifier is the second of a Sequential with dropout."""
    renamed = {k.replace("fc.", "last_linear.1."): v for k, v in state.items()}
    return {f"model.{k}": v for k, v in renamed.items()}


def as_pretrained_models(state):
    """The older ImageNet file: pointwise kernels are matrices, and nothing is counted."""
    kept = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    kept = {k: v[:, :, 0, 0] if "pointwise" in k else v for k, v in kept.items()}
    return {k.replace("fc.", "last_linear."): v for k, v in kept.items()}


def in_parallel(state):
    return {f"module.{k}": v for k, v in state.items()}


def checkpoint(state):
    return {"epoch": 3, "optimizer": {"state": {}}, "state_dict": in_parallel(state)}


FORMS = {
    "this library and timm": ours,
    "the paper's repository": as_in_the_papers_repository,
    "the same, DataParallel": lambda s: in_parallel(as_in_the_papers_repository(s)),
    "a model in DataParallel in a model": lambda s: as_in_the_papers_repository(in_parallel(s)),
    "pretrained-models.pytorch": as_pretrained_models,
    "a checkpoint with an optimiser": checkpoint,
    "a checkpoint under model": lambda s: {"model": as_in_the_papers_repository(s)},
}


def logits(model):
    with torch.no_grad():
        return model(torch.linspace(-1, 1, 3 * 96 * 96).reshape(1, 3, 96, 96))


FILES = [(form, suffix) for form in FORMS for suffix in (".pth", ".pkl", ".safetensors")
         if suffix != ".safetensors" or "checkpoint" not in form]  # fmt: skip


@pytest.mark.parametrize(("form", "suffix"), FILES)
def test_every_form_of_xception_gives_the_same_logits(face, tmp_path, form, suffix):
    content = FORMS[form](face.state_dict())
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({k: v.clone() for k, v in content.items()}, path)
    else:
        # The older files are pickles, the newer ones zips of pickles.
        torch.save(content, path, _use_new_zipfile_serialization=suffix == ".pth")
    torch.testing.assert_close(logits(xception(path)), logits(face), atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["this library and timm", "the same, DataParallel"])
def test_the_flow_detector_knows_the_same_wrappers(flow, tmp_path, form):
    torch.save(FORMS[form](flow.state_dict()), tmp_path / "w.pth")
    found = flow_vgg11(tmp_path / "w.pth")
    torch.testing.assert_close(logits(found), logits(flow), atol=1e-5, rtol=0)


def test_a_linear_layer_before_the_dropout_is_the_same_layer(flow, tmp_path):
    state = {k.replace("last_linear.1", "last_linear.0"): v for k, v in flow.state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    torch.testing.assert_close(logits(flow_vgg11(tmp_path / "w.pth")), logits(flow))


def test_a_file_for_other_classes_is_a_start_and_no_detector(face, tmp_path):
    state = as_pretrained_models(face.state_dict())
    state |= {"last_linear.weight": torch.zeros(1000, 2048), "last_linear.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "imagenet.pth")
    with pytest.raises(WeightsError, match=r"2 of another shape \(fc.*`weights`.*profile"):
        xception(tmp_path / "imagenet.pth")
    start = xception(tmp_path / "imagenet.pth", adapt_classifier=True)
    assert start.fc.out_features == 2
    assert torch.equal(start.block4.rep[1].conv1.weight, face.block4.rep[1].conv1.weight)
    # A classifier that fits is kept.
    torch.save(face.state_dict(), tmp_path / "own.pth")
    again = xception(tmp_path / "own.pth", adapt_classifier=True)
    assert torch.equal(again.fc.weight, face.fc.weight)


class Wrapper(nn.Module):
    """A network whose only attribute has the name of a wrapper."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


def test_a_network_may_have_the_attribute_of_a_wrapper(tmp_path):
    one = Wrapper()
    for state in (one.state_dict(), in_parallel(one.state_dict()), one.model.state_dict()):
        other = Wrapper()
        torch.save(state, tmp_path / "w.pth")
        load_weights(other, tmp_path / "w.pth")
        assert torch.equal(other.model[2].weight, one.model[2].weight)


def test_saved_weights_come_back(flow, tmp_path):
    path = save_weights(flow, tmp_path / "new" / "w.safetensors")
    again = flow_vgg11(path)
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), flow.parameters(), strict=True)
    )
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


class Bomb:
    """An object whose unpickling would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    trap = tmp_path / "ran"
    for name, write in (("a.pkl", pickle.dump), ("b.pth", torch.save)):
        with (tmp_path / name).open("wb") as handle:
            write({"x": Bomb(trap)}, handle)
        with pytest.raises(WeightsError):
            flow_vgg11(tmp_path / name)
    assert not trap.exists()


def test_wrong_files_are_refused_with_names(flow, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        flow_vgg11(tmp_path / "no.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(WeightsError, match="cannot be read"):
        flow_vgg11(tmp_path / "cut.safetensors")
    torch.save(xception().state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"missing .*features.* unexpected"):
        flow_vgg11(tmp_path / "other.pth")
    state = flow.state_dict() | {"features.0.bias": torch.full((64,), float("nan"))}
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match="not finite"):
        flow_vgg11(tmp_path / "nan.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_files_cannot_be_read(tmp_path):
    state, rng = {"a": torch.arange(5.0), "b": torch.ones(2, 3)}, random.Random(0)
    for new in (True, False):
        path = tmp_path / f"{new}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=new)
        written = path.read_bytes()
        for _ in range(100):
            damaged = bytearray(written[: rng.choice([len(written), rng.randrange(len(written))])])
            for at in rng.sample(range(len(damaged)), min(len(damaged), 8)):
                damaged[at] = rng.randrange(256)
            path.write_bytes(damaged)
            try:
                read_state(path)  # the damage may lie where it changes nothing, or only numbers
            except WeightsError as error:
                assert "read" in str(error) or "opened" in str(error) or "holds no" in str(error)


def test_another_error_is_no_damaged_file(tmp_path, monkeypatch):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1)}, path)

    def broken(*_args, **_options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        read_state(path)


def keras_layers():
    """Names of timm's layers in the order in which Keras runs and numbers those of a type."""
    places = {1: (0, 3), 2: (1, 4), 3: (1, 4), 12: (1, 4)}
    blocks = {f"block{n}": places.get(n, (1, 4, 7)) for n in range(1, 13)}
    norms = ["bn1", "bn2"]
    for name, at in blocks.items():
        norms += [f"{name}.rep.{i + 1}" for i in at]
        norms += [f"{name}.skipbn"] * (int(name[5:]) in places)
    return {
        "conv2d": ["conv1", "conv2", *(f"block{n}.skip" for n in places)],
        "separable_conv2d": [f"{b}.rep.{i}" for b, at in blocks.items() for i in at]
        + ["conv3", "conv4"],
        "batch_normalization": [*norms, "bn3", "bn4"],
    }


def test_keras_weights_are_translated(face, tmp_path):
    state = face.state_dict()
    parts = {
        "conv2d": {"weight": (2, 3, 1, 0)},
        "separable_conv2d": {"conv1.weight": (2, 3, 0, 1), "pointwise.weight": (2, 3, 1, 0)},
        "batch_normalization": {k: (0,) for k in ("weight", "bias", "running_mean", "running_var")},
    }
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        for kind, names in keras_layers().items():
            for number, name in enumerate(names):
                stored = f"layers/functional/layers/{kind}{f'_{number}' if number else ''}/vars"
                for i, (part, order) in enumerate(parts[kind].items()):
                    value = state[f"{name}.{part}"].permute(order)
                    # Keras adds a larger epsilon to the variance.
                    file[f"{stored}/{i}"] = value - (1e-3 - 1e-5) * (part == "running_var")
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    fresh = xception()
    found = keras_xception_state(tmp_path / "x.keras", fresh)
    assert list(found) == list(state)
    for name, value in found.items():
        wanted = fresh.state_dict() if name.startswith("fc.") else state
        torch.testing.assert_close(value, wanted[name], msg=name)
