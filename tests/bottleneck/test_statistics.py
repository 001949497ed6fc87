"""Statistics of layers: of frames and of clips, kept in files."""

import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


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
