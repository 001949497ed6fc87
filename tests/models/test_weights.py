"""Weights files: every form gives the same logits, and no file runs code or fits by accident."""

import pickle
import random
import warnings
import zipfile
from argparse import Namespace

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from viba_lib.models import flow_vgg11, save_weights, xception
from viba_lib.models.detectors import FLOW_VGG11, XCEPTION
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


def logits(model):
    with torch.no_grad():
        return model(torch.linspace(-1, 1, 3 * 96 * 96).reshape(1, 3, 96, 96))


def ours(state):
    return dict(state)


def below(prefix, state):
    return {prefix + k: v for k, v in state.items()}


def as_hongguliu(state):
    """The training code of FaceForensics++ detectors, and the paper's own repository: `model.`
    before each key; the classifier is the second of a Sequential with dropout."""
    return below("model.", {k.replace("fc.", "last_linear.1."): v for k, v in state.items()})


def as_pretrained_models(state):
    """The older ImageNet file: pointwise kernels are matrices, and nothing is counted."""
    kept = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    kept = {k: v[:, :, 0, 0] if "pointwise" in k else v for k, v in kept.items()}
    return {k.replace("fc.", "last_linear."): v for k, v in kept.items()}


def as_deepfakebench(state):
    """A detector class that holds a backbone, with layers that it uses only in other modes."""
    renamed = {k.replace("fc.", "last_linear."): v for k, v in state.items()}
    unused = {"adjust_channel.0.weight": torch.zeros(512, 2048, 1, 1), **below(
        "adjust_channel.1.", nn.BatchNorm2d(512).state_dict())}  # fmt: skip
    return below("backbone.", renamed | unused)


def in_parallel(state):
    return below("module.", state)


def compiled(state):
    return below("_orig_mod.", state)


def optimiser():
    return {"state": {0: {"step": torch.zeros(()), "exp_avg": torch.ones(4)}}, "param_groups": []}


def as_timm_trains(state):
    """With the arguments of the command, a number of NumPy and a moving average."""
    return {
        "epoch": 3, "arch": "xception", "state_dict": ours(state), "optimizer": optimiser(),
        "args": Namespace(lr=0.1), "metric": np.float64(0.9), "version": 2,
        "state_dict_ema": {k: v * 0 for k, v in state.items()},
    }  # fmt: skip


def as_lightning(state):
    criterion = {"criterion.pos_weight": torch.ones(1)}
    return {
        "state_dict": below("net.", state) | criterion, "optimizer_states": [optimiser()],
        "pytorch-lightning_version": "2.5.0", "hyper_parameters": {"lr": 0.1}, "epoch": 3,
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}}, "loops": {},
    }  # fmt: skip


def inside(name):
    return lambda state: {"epoch": 3, name: in_parallel(state), "optimizer": optimiser()}


FORMS = {
    "this library and timm": ours,
    "HongguLiu": as_hongguliu,
    "HongguLiu, DataParallel": lambda s: in_parallel(as_hongguliu(s)),
    "HongguLiu, a model in DataParallel": lambda s: as_hongguliu(in_parallel(s)),
    "pretrained-models.pytorch": as_pretrained_models,
    "DeepfakeBench": as_deepfakebench,
    "DeepfakeBench, DataParallel, compiled": lambda s: in_parallel(compiled(as_deepfakebench(s))),
    "timm's training": as_timm_trains,
    "Lightning with a criterion": as_lightning,
    "Lightning, compiled": lambda s: as_lightning(compiled(s)),
    "Lightning, DeepfakeBench": lambda s: as_lightning(as_deepfakebench(s)),
    "torch.compile": compiled,
    "torch.compile, DataParallel": lambda s: compiled(in_parallel(s)),
    "a checkpoint under model": lambda s: {"model": as_hongguliu(s), "epoch": 1},
    "half precision": lambda s: {k: v.half() for k, v in s.items()},
    "double precision": lambda s: {k: v.double() for k, v in s.items()},
}
LEFT = {
    "DeepfakeBench": "left over: backbone.adjust_channel (6 tensors)",
    "DeepfakeBench, DataParallel, compiled": "module._orig_mod.backbone.adjust_channel (6 tensors)",
    "timm's training": "left over: optimizer (2 tensors), state_dict_ema (",
    "Lightning with a criterion": "left over: state_dict.criterion, optimizer_states (2 tensors)",
}


def opened(detector, path):
    """A detector with the weights of a file, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = detector.open(path)
    return model, [str(each.message) for each in said]


def same(model, state, atol=0.0):
    found = model.state_dict()
    for name in state.keys() - {k for k in state if k.endswith("num_batches_tracked")}:
        torch.testing.assert_close(found[name], state[name], atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_xception_is_taken(face, tmp_path, form):
    torch.save(FORMS[form](face.state_dict()), tmp_path / "w.pth")
    model, said = opened(XCEPTION, tmp_path / "w.pth")
    same(model, face.state_dict(), atol=1e-3 if form == "half precision" else 0)
    assert all(v.dtype == torch.float32 for v in model.parameters())
    assert len(said) == any("left over" in each for each in said)  # one line, or none
    assert LEFT.get(form, "") in "".join(said)
    assert all(each.partition(": ")[2] in model.weights_source for each in said)


def old(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "W.SAFETENSORS", "w.h5", "w"])
@pytest.mark.parametrize("write", [torch.save, old, save_file])
def test_the_content_decides_and_not_the_suffix(flow, tmp_path, name, write):
    write(in_parallel(flow.state_dict()), tmp_path / name)
    model, said = opened(FLOW_VGG11, tmp_path / name)
    same(model, flow.state_dict())
    assert not said and model.weights_source == f"file {name}"


def test_weights_give_the_same_logits(face, tmp_path):
    torch.save(as_deepfakebench(face.state_dict()), tmp_path / "w.pth")
    model, _ = opened(XCEPTION, tmp_path / "w.pth")
    torch.testing.assert_close(logits(model), logits(face), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", ["model", "net", "state_dict", "model_state_dict", "weights", "ema", "0"]
)
def test_the_dictionary_that_fits_is_found_under_any_name(flow, tmp_path, name):
    torch.save(inside(name)(flow.state_dict()), tmp_path / "w.pth")
    same(opened(FLOW_VGG11, tmp_path / "w.pth")[0], flow.state_dict())


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


class Small(nn.Module):
    """Two convolutions and a classifier, as quick as a network can be."""

    def __init__(self, classifier="fc", classes=2):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
        self.add_module(classifier, nn.Linear(4, classes))


class Holds(nn.Module):
    """A class that holds a network under any name, with others beside it."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def load(model, content, tmp_path, **options):
    torch.save(content, tmp_path / "w.pth")
    return load_weights(model, tmp_path / "w.pth", **options)


def wrapped_features(wrapper):
    """Only a part is wrapped, as in PyTorch's example of ImageNet training with VGG."""
    model = Small()
    model.features = wrapper(model.features)
    return model


WRAPPED = {
    "DataParallel": lambda: nn.DataParallel(Small()),
    "torch.compile": lambda: torch.compile(Small()),
    "both": lambda: torch.compile(nn.DataParallel(Small())),
    "a class of both": lambda: Holds(detector=torch.compile(nn.DataParallel(Small()))),
    "a class in a class": lambda: Holds(model=Holds(model=Small())),
    "a part in DataParallel": lambda: wrapped_features(nn.DataParallel),
    "a compiled part": lambda: nn.DataParallel(wrapped_features(torch.compile)),
    "an unknown attribute": lambda: Holds(encoder_q=Small()),
    "another classifier": lambda: Small("head"),
    "another classifier, wrapped": lambda: Holds(net=Small("classifier")),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_are_found_by_matching(tmp_path, name):
    one = WRAPPED[name]()
    model = load(Small(), one.state_dict(), tmp_path)
    for ours, theirs in zip(model.state_dict().values(), one.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


LEFTOVERS = {
    "an averaged model": lambda s: {"n_averaged": torch.tensor(3)} | in_parallel(s),
    "a loss": lambda s: below("net.", s) | {"criterion.weight": torch.ones(2)},
    "a second head": lambda s: below("net.", s) | {"aux.weight": torch.ones(7, 4)},
    "a smaller teacher": lambda s: below("student.", s) | {"teacher.fc.weight": s["fc.weight"] + 1},
    "a moving average": lambda s: {"model": ours(s), "ema": {k: v + 1 for k, v in s.items()}},
    "an average below": lambda s: below("net.", s) | {f"net_ema.{k}": v + 1 for k, v in s.items()},
    "the same network twice": lambda s: below("a.", s) | below("b.", s),
}


@pytest.mark.parametrize("name", LEFTOVERS)
def test_what_is_not_of_the_network_is_named(tmp_path, name):
    one = Small()
    with pytest.warns(UserWarning, match="left over: ") as said:
        model = load(Small(), LEFTOVERS[name](one.state_dict()), tmp_path)
    same(model, one.state_dict())
    assert len(said) == 1 and "left over" in model.weights_source


def test_the_only_network_may_be_an_average(tmp_path):
    one = Small()
    same(load(Small(), {"model_ema": one.state_dict(), "epoch": 1}, tmp_path), one.state_dict())


@pytest.mark.parametrize("names", [("teacher", "student"), ("ema", "model_ema"), ("0", "1")])
def test_two_networks_that_fit_are_refused(tmp_path, names):
    content = Holds(**{name: Small() for name in names}).state_dict()
    with pytest.raises(WeightsError, match=f"'{names[0]}', '{names[1]}'; expected one"):
        load(Small(), content, tmp_path)
    with pytest.raises(WeightsError, match="several networks"):
        load(Small(), {name: Small().state_dict() for name in names}, tmp_path)


def test_a_classifier_outside_of_the_prefix_is_found_by_its_shape(tmp_path):
    one = Small()
    state = below("backbone.", {k: v for k, v in one.state_dict().items() if "fc" not in k})
    head = {"head.1.weight": one.fc.weight, "head.1.bias": one.fc.bias}
    same(load(Small(), state | head, tmp_path), one.state_dict())
    same(load(Small(), state | head, tmp_path, adapt_classifier=True), one.state_dict())
    # Two that may be meant are none.
    two = head | {"other.weight": one.fc.weight, "other.bias": one.fc.bias}
    with pytest.raises(WeightsError, match=r"2 missing \(fc.bias, fc.weight"):
        load(Small(), state | two, tmp_path)


def test_one_logit_becomes_two(tmp_path):
    one, x = Small(classes=1), torch.randn(5, 4)
    with pytest.warns(UserWarning, match=r"one logit z.*\[0, z\]"):
        two = load(Small(), below("net.", one.state_dict()), tmp_path)
    p = two.fc(x).softmax(1)[:, 1:]
    torch.testing.assert_close(p, one.fc(x).sigmoid())
    same(load(Small(classes=1), one.state_dict(), tmp_path), one.state_dict())


def test_a_network_without_a_linear_layer(tmp_path):
    one = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    same(load(nn.Sequential(nn.Conv2d(3, 2, 1)), in_parallel(one.state_dict()), tmp_path),
         one.state_dict())  # fmt: skip
    with pytest.raises(WeightsError, match=r"missing \(0.bias, 0.weight"):
        load(one, {"a": torch.zeros(3)}, tmp_path, adapt_classifier=True)


NEAR = {
    "of another shape": (Small(classes=3).state_dict(), "fc.weight 3x4, expected 2x4"),
    "missing": ({"features.0.weight": torch.zeros(4, 3, 3, 3)}, "9 missing (fc.bias, fc.weight,"),
    "whole numbers": ({k: v.to(torch.int8) for k, v in Small().state_dict().items()},
                      "fc.weight int8, expected float32"),
    "complex": (Small().state_dict() | {"fc.weight": torch.zeros(2, 4, dtype=torch.complex64)},
                "fc.weight complex64, expected float32"),
    "sparse": (Small().state_dict() | {"fc.weight": torch.zeros(2, 4).to_sparse()},
               "1 missing (fc.weight)"),
    "too large": (Small().state_dict() | {"fc.bias": torch.full((2,), 1e39, dtype=torch.float64)},
                  "not finite (fc.bias"),
    "without values": (Small().to("meta").state_dict(), "contains no state dict"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEAR)
def test_weights_that_do_not_fit_are_named_with_what_was_expected(tmp_path, name):
    content, says = NEAR[name]
    with pytest.raises(WeightsError) as error:
        load(Small(), content, tmp_path)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_contains_itself_ends(tmp_path):
    one = Small()
    content, deep = {"model": one.state_dict(), "all": []}, {}
    content["self"] = content["all"]
    content["all"] += [content, content["all"]]
    for _ in range(300):
        deep = {"a": deep}
    same(load(Small(), content | {"deep": deep}, tmp_path), one.state_dict())


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


FOREIGN = {
    "a model": (lambda trap: Small(), "Small|Linear|BatchNorm|test_weights"),
    "code": (lambda trap: {"x": Bomb(trap)}, "open"),
    "weights and code": (lambda trap: Small().state_dict() | {"x": Bomb(trap)}, "open"),
    "paths": (lambda trap: {"state_dict": Small().state_dict(), "path": trap}, "pathlib"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("write", [torch.save, old])
def test_other_objects_are_named_and_never_made(tmp_path, name, write):
    trap = tmp_path / "ran"
    make, found = FOREIGN[name]
    write(make(trap), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"more than tensors .*({found}).*state dict alone"):
        load_weights(Small(), tmp_path / "w.pth")
    assert not trap.exists()


def test_what_stands_for_other_objects_stays_in_here(flow, tmp_path):
    torch.save({"state_dict": flow.state_dict(), "args": Namespace(lr=1)}, tmp_path / "w.pth")
    before = set(torch.serialization.get_safe_globals())
    read_state(tmp_path / "w.pth")
    assert set(torch.serialization.get_safe_globals()) == before
    # Others find the class itself in the file, as before.
    found = torch.load(tmp_path / "w.pth", weights_only=False)
    assert found["args"].lr == 1


def pickled(state, path):
    path.write_bytes(pickle.dumps(state))


def scripted(state, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(2, 2))), path)


def zipped(*names):
    def write(state, path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "0")

    return write


def cut(write, end):
    def write_cut(state, path):
        write(state, path)
        path.write_bytes(path.read_bytes()[:end])

    return write_cut


def written(content):
    return lambda state, path: path.write_bytes(content)


def keras(state, path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(3)


def array(state, path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


OTHER_KINDS = {
    "empty": (written(b""), "is empty.*fetch or save"),
    "a web page": (written(b"\n<!DOCTYPE html><html>Quota exceeded"), "web page.*browser"),
    "a web page with a mark": (written(b"\xef\xbb\xbf<html>"), "web page"),
    "an answer in XML": (written(b"<?xml version='1.0'?><Error>AccessDenied"), "web page"),
    "an answer in JSON": (written(b'{"error": "not found"}'), "is a text"),
    "a Git LFS pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
                          "pointer of Git LFS.*git lfs pull"),
    "ONNX": (written(b"\x08\x08\x12\x07pytorch\x1a\x052.6.0:\x00"), "ONNX"),
    "a NumPy array": (array, "NumPy array.*convert"),
    "NumPy arrays": (zipped("conv1.npy", "fc.npy"), r"zip archive of conv1.npy, fc.npy;"),
    "Keras": (keras, "HDF5.*Keras"),
    "a Keras archive": (zipped("metadata.json", "model.weights.h5"), "zip archive of metadata"),
    "an empty zip": (zipped(), "cannot be read"),
    "gzip": (written(b"\x1f\x8b\x08" + bytes(20)), "is an archive.*unpack"),
    "tar": (written(bytes(257) + b"ustar" + bytes(300)), "is an archive.*unpack"),
    "TorchScript": (scripted, "TorchScript archive.*contains code.*state_dict"),
    "pickle": (pickled, "cannot be read|more than tensors"),
    "a cut zip": (cut(torch.save, 3000), "damaged, cut off"),
    "a cut pickle": (cut(old, 300), "damaged, cut off"),
    "cut safetensors": (cut(save_file, 300), "damaged, cut off"),
    "the start of safetensors": (cut(save_file, 4), "cannot be read"),
    "zeros": (written(bytes(1000)), "damaged, cut off"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_KINDS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ""])
def test_other_kinds_of_files_are_named(tmp_path, name, suffix):
    write, says = OTHER_KINDS[name]
    path = tmp_path / f"w{suffix}"
    write(Small().state_dict(), path)
    with pytest.raises(WeightsError, match=says) as error:
        read_state(path)
    said = str(error.value)
    # One line of our own words: what was given, what was expected, what to do.
    assert "expected named tensors" in said and "\n" not in said
    assert not any(word in said for word in ("weights_only", "PyTorch 2.6", "trust the source"))


def test_wrong_files_are_refused_with_names(flow, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        flow_vgg11(tmp_path / "no.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(WeightsError, match="cannot be read"):
        flow_vgg11(tmp_path / "cut.safetensors")
    torch.save(xception().state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"missing .*features.*left over"):
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


@pytest.mark.slow
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
