"""The detectors, and where their first weights come from."""

import importlib
import socket

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.core.download import FetchError
from viba_lib.experiments.paper_numbers import TABLE_5, TABLE_6, TABLE_7
from viba_lib.models import flow_vgg11, xception
from viba_lib.models.describe import beside_paper, layer_table
from viba_lib.models.flow_vgg import FLOW_LAYERS
from viba_lib.models.training import predict
from viba_lib.models.xception import XCEPTION_LAYERS

# By name, since the package's attribute of that name is the function.
xception_module = importlib.import_module("viba_lib.models.xception")


def differing(table):
    return table.layer[~table.agrees].tolist()


def test_the_live_networks_are_those_of_tables_5_to_7(flow):
    face = xception()
    five, six = beside_paper(face, TABLE_5), beside_paper(face, TABLE_6, "block2.rep")
    # timm leaves the input of a block alone, since its skip takes it too; and the classifier of
    # its Xception has its dropout in the forward pass.
    assert differing(five) == ["last_linear"] and differing(six) == ["0"]
    assert (
        six.here[0] == "ReLU, inplace False"
        and five.here.iloc[-1] == "Linear, parts fully connected"
    )
    seven = beside_paper(flow, TABLE_7)
    assert len(seven) == 30 and seven.agrees.all()
    assert seven.paper[9] == "BatchNorm2d, in 256, out 256, eps 1e-05"


def test_another_network_does_not_agree(flow):
    flow = flow_vgg11()
    flow.features[9].eps = 1e-3
    flow.features[0] = nn.Conv2d(3, 32, 3)
    assert differing(beside_paper(flow, TABLE_7)) == ["0", "9"]


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


def test_predictions_are_probabilities():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    found = predict(model, torch.randn(4, 3, 8, 8), batch_size=3)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert predict(model, torch.zeros(0, 3, 8, 8)).shape == (0, 2)


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
    assert float(model.conv1.weight.detach().mean()) == 0.5 and "hub" in model.weights_source
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
