"""Statistics of layers: of frames and of clips, kept in files."""

import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.split import SplitModel
from viba_lib.bottleneck.statistics import channel_means
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Small(nn.Module):
    """A layer between others."""

    def __init__(self):
        super().__init__()
        self.first, self.middle = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.middle(self.first(x).relu()).mean((2, 3)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = nn.Conv3d(3, 4, 3, padding=1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)
    return nn.Sequential(*layers)


def test_of_clips(model, tmp_path):
    clips = torch.randn(7, 3, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    found = LayerStatistics.estimate(model, "0", clips.split(3))
    units = model[0](clips).detach()
    torch.testing.assert_close(found.mean, units.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.std, units.std(0), rtol=1e-4, atol=1e-5)
    assert (found.count, found.input_size) == (7, (4, 6, 8))
    back = LayerStatistics.load(found.save(tmp_path / "statistics.safetensors"))
    assert back.input_size == (4, 6, 8)
    assert torch.equal(back.mean, found.mean)


def test_clips_of_another_length_are_refused(model):
    batches = [torch.randn(2, 3, 4, 6, 8), torch.randn(2, 3, 5, 6, 8)]
    with pytest.raises(VibaError, match=r"\(4, 6, 8\) and \(5, 6, 8\)"):
        LayerStatistics.estimate(model, "0", batches)


def test_one_frame_without_a_batch_is_refused(model):
    with pytest.raises(VibaError, match=r"expected frames \(B, 3, H, W\)"):
        LayerStatistics.estimate(model, "0", [torch.randn(3, 6, 8)])


def test_statistics_are_those_of_numpy_and_survive_the_disk(tmp_path):
    model = Small().eval()
    batches = [torch.randn(n, 3, 16, 16) for n in (5, 1, 9)]
    found = LayerStatistics.estimate(model, "middle", batches)
    with torch.no_grad():
        whole, _ = SplitModel(model, "middle").head(torch.cat(batches))
    torch.testing.assert_close(found.mean, whole.mean(0))
    torch.testing.assert_close(found.std, whole.std(0))
    assert found.count == 15
    back = LayerStatistics.load(found.save(tmp_path / "s.safetensors"))
    assert torch.equal(back.mean, found.mean) and torch.equal(back.active, found.active)
    assert (back.layer, back.count, back.input_size) == ("middle", 15, (16, 16))


def test_few_samples_give_a_warning():
    with pytest.warns(UserWarning, match="more than 1000"):
        LayerStatistics.estimate(Small().eval(), "middle", [torch.randn(4, 3, 16, 16)])


def test_a_file_that_is_no_statistics_is_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(VibaError, match="not a file of layer statistics"):
        LayerStatistics.load(path)


def test_several_layers_in_one_pass_are_the_layers_one_by_one():
    torch.manual_seed(0)
    model, passes = Small().eval(), []
    model.last.register_forward_hook(lambda *_: passes.append(1))
    batches = [torch.randn(n, 3, 16, 16) for n in (5, 1, 9)]
    found = LayerStatistics.estimate_all(model, ["first", "middle"], batches)
    assert len(passes) == len(batches)
    for layer, together in found.items():
        alone = LayerStatistics.estimate(model, layer, batches)
        assert together.layer == layer and together.count == alone.count == 15
        for name in ("mean", "std", "active"):
            assert torch.equal(getattr(together, name), getattr(alone, name)), (layer, name)
    with pytest.raises(VibaError, match="has no layer 'midle'"):
        LayerStatistics.estimate_all(model, ["first", "midle"], batches)


class Tokens(nn.Module):
    """A model whose layer `rows` gives tokens (N, L, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.rows, self.head = nn.Conv2d(3, 5, 4, 4), nn.Linear(5, 7), nn.Linear(7, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.rows(self.maps(inputs).flatten(2).transpose(1, 2)).mean(1))


@pytest.mark.parametrize(("layer", "channels"), [("maps", 5), ("rows", 7)])
def test_channel_means_are_over_space_or_tokens(layer, channels):
    model, inputs = Tokens().eval(), torch.rand(3, 3, 16, 16)
    found = channel_means(SplitModel(model, layer), inputs)
    maps = model.maps(inputs)
    expected = maps.mean((2, 3))
    if layer == "rows":
        expected = model.rows(expected)  # a linear layer of a mean is the mean of its outputs
    assert found.shape == (3, channels)
    torch.testing.assert_close(found, expected.detach())
