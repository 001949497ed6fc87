"""The detectors, their weights files, and training that can be resumed."""

import importlib
import pickle
import socket

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from viba_lib.data.sources.packages import FetchError
from viba_lib.models import flow_vgg11, load_weights, save_weights, xception
from viba_lib.models.describe import layer_table
from viba_lib.models.flow_vgg import FLOW_LAYERS
from viba_lib.models.training import TrainingSettings, predict, train
from viba_lib.models.weights import WeightsError
from viba_lib.models.xception import XCEPTION_LAYERS

# By name, since the package's attribute of that name is the function.
xception_module = importlib.import_module("viba_lib.models.xception")


@pytest.fixture(scope="module")
def flow():
    torch.manual_seed(0)
    return flow_vgg11()


def test_layers_answer_to_the_names_of_the_paper(flow):
    names = dict(xception().named_modules())
    assert set(XCEPTION_LAYERS) <= set(names)
    assert set(FLOW_LAYERS) <= set(dict(flow.named_modules()))
    assert all(isinstance(flow.get_submodule(n), nn.BatchNorm2d) for n in FLOW_LAYERS)


def test_table_7_agrees_with_the_live_network(flow):
    table = layer_table(flow, 64, inside="features")
    norms = table[table.type == "BatchNorm2d"]
    assert norms.layer.tolist() == ["1", "5", "9", "12", "16", "19", "23", "26"]
    assert norms.output.str.split("x").str[0].astype(int).tolist() == [
        64, 128, 256, 256, 512, 512, 512, 512,
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pkl"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_weights_of_each_kind_give_the_same_logits(flow, tmp_path, suffix, prefix):
    path = tmp_path / f"weights{suffix}"
    state = {prefix + k: v for k, v in flow.state_dict().items()}
    if suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save(state, path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(load_weights(flow_vgg11(), path)(x), flow(x))


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


class Batches(Dataset):
    """Bright and dark pictures; a batch follows from its step."""

    def __len__(self):
        return 8

    def __getitem__(self, step):
        generator = torch.Generator().manual_seed(step)
        labels = torch.arange(4) % 2
        noise = torch.randn(4, 3, 8, 8, generator=generator)
        return noise + 3 * labels[:, None, None, None], labels


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip


def settings(**changes):
    made = dict(steps=8, learning_rate=0.01, validate_every=2, precision="float32", warmup=1)
    return TrainingSettings(**(made | changes))


def test_a_stopped_training_ends_like_an_undisturbed_one(tmp_path):
    inputs, labels = Batches()[99]
    held_out = (inputs, labels.numpy())
    whole = small()
    history = train(whole, Batches(), held_out, settings(keep="last"), tmp_path / "a")
    assert history.step.tolist() == [2, 4, 6, 8]
    assert history.loss.iloc[-1] < history.loss.iloc[0]

    def stop(line):
        if line.startswith("step 4/"):
            raise KeyboardInterrupt

    broken = small()
    with pytest.raises(KeyboardInterrupt):
        train(broken, Batches(), held_out, settings(keep="last"), tmp_path / "b", progress=stop)
    resumed = small()
    train(resumed, Batches(), held_out, settings(keep="last"), tmp_path / "b")
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_frozen_batch_norm_keeps_its_statistics(tmp_path):
    inputs, labels = Batches()[99]
    model = small()
    train(model, Batches(), (inputs, labels.numpy()), settings(), tmp_path)
    assert torch.equal(model[1].running_mean, torch.zeros(4))


def test_predictions_are_probabilities():
    found = predict(small(), Batches()[0][0], batch_size=3)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert predict(small(), torch.zeros(0, 3, 8, 8)).shape == (0, 2)


def test_imagenet_weights_come_from_the_hub_first(monkeypatch, tmp_path):
    other = xception_module.xception(None)
    with torch.no_grad():
        other.conv1.weight.fill_(0.5)
    asked = []

    def hub(url, folder, *_args, **options):
        asked.append((socket.getdefaulttimeout(), options["check_hash"], options["weights_only"]))
        return other.state_dict() | {"fc.weight": torch.zeros(1000, 2048)}

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", hub)
    model = xception_module.xception("imagenet", data_root=tmp_path)
    assert float(model.conv1.weight.mean()) == 0.5 and "hub" in model.weights_source
    assert asked == [(xception_module.HUB_SECONDS, True, True)]
    assert socket.getdefaulttimeout() is None


def test_without_a_network_xception_starts_from_random_weights_and_says_so(monkeypatch, tmp_path):
    def away(*_args, **_options):
        raise OSError("no network")

    def nothing(*_args):
        raise FetchError("no registry")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", away)
    monkeypatch.setattr(xception_module, "fetch", nothing)
    with pytest.warns(UserWarning, match="no registry.*name a weights file"):
        model = xception_module.xception("imagenet", data_root=tmp_path)
    assert model.weights_source.startswith("random weights")
