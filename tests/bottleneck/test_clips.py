"""A network for images inside a model of clips: a map for each frame."""

import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, ReadoutBottleneck
from viba_lib.bottleneck.split import SplitModel
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")
TIMES = 5


class Clips(nn.Module):
    """Features of each frame, joined over time.

    order : of the axes of clips, "NCT" or "NTC"
    rows : of frames in the CNN: "clip" after clip, "time" after time, or a loop over "times" or
        "clips"
    join : "lstm", "mean", or "third", which looks at the third frame alone
    """

    def __init__(self, order="NCT", rows="clip", join="lstm"):
        super().__init__()
        torch.manual_seed(0)
        self.order, self.rows, self.join = order, rows, join
        self.cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 2))
        self.lstm, self.last = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 2)
        self.wide = nn.Linear(6, 8)

    def features(self, x):
        return self.cnn(x).mean((2, 3))

    def forward(self, x):
        x = x.transpose(1, 2) if self.order == "NCT" else x
        if self.rows == "clip":
            z = self.features(x.flatten(0, 1)).unflatten(0, (-1, TIMES))
        elif self.rows == "time":
            z = self.features(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (TIMES, -1))
            z = z.transpose(0, 1)
        elif self.rows == "times":
            z = torch.stack([self.features(x[:, t]) for t in range(x.shape[1])], 1)
        else:
            z = torch.stack([self.features(clip) for clip in x])
        if self.join == "lstm":
            return 20 * self.last(self.lstm(z)[0][:, -1])
        z = z.mean(1) if self.join == "mean" else z[:, 2]
        return 20 * self.last(self.wide(z))


def clips_of(order, count=4):
    clips = torch.randn(count, 3, TIMES, 12, 14, generator=torch.Generator().manual_seed(2))
    return clips if order == "NCT" else clips.transpose(1, 2)


EACH = [(o, r) for o in ("NCT", "NTC") for r in ("clip", "time", "times", "clips")]


@pytest.mark.parametrize(("order", "rows"), EACH)
@pytest.mark.parametrize("layer", ["cnn.0"])
def test_each_frame_has_its_map(order, rows, layer):
    model, clips = Clips(order, rows).eval(), clips_of(order)
    statistics = LayerStatistics.estimate(model, layer, clips.split(2))
    images = (clips.transpose(1, 2) if order == "NCT" else clips).flatten(0, 1)
    assert statistics.count == len(images) and statistics.input_size == (TIMES, 12, 14)
    if layer == "cnn.0":  # as if each frame were an input
        alone = model.cnn[0](images).detach()
        for t in range(TIMES):
            torch.testing.assert_close(statistics.mean[:, t], alone.mean(0))
            torch.testing.assert_close(statistics.std[:, t], alone.std(0))
    bottleneck = PerSampleBottleneck(model, layer, statistics, steps=3, noise_samples=2, beta=0.1)
    found = bottleneck.attribute(clips[:2], with_lam=True)
    assert found.bits_per_pixel.shape == (2 * TIMES, 12, 14)
    assert found.capacity.shape == (2, *statistics.mean.shape)
    total = found.bits_per_pixel.unflatten(0, (2, TIMES)).sum((1, 2, 3))
    torch.testing.assert_close(total, found.capacity.sum((1, 2, 3, 4)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.logits_clean, model(clips[:2]).detach(), rtol=1e-3, atol=1e-4)
    one = bottleneck.attribute(clips[1:2])
    torch.testing.assert_close(one.capacity, found.capacity[1:], rtol=1e-3, atol=1e-4)
    transmitted = bottleneck.predict_under_noise(clips[:2], torch.ones_like(found.lam), 1)[0]
    torch.testing.assert_close(transmitted, found.logits_clean, rtol=1e-3, atol=1e-3)
    both = LayerStatistics.estimate_all(model, ["cnn.0", "cnn"], clips.split(2))
    torch.testing.assert_close(both[layer].std, statistics.std)


@pytest.mark.parametrize(("order", "rows"), EACH)
def test_the_same_map_in_every_order(order, rows):
    maps = []
    for model, clips in (
        (Clips("NCT", "clip", "mean"), clips_of("NCT")),
        (Clips(order, rows, "mean"), clips_of(order)),
    ):
        statistics = LayerStatistics.estimate(model.eval(), "cnn.0", [clips])
        bottleneck = PerSampleBottleneck(model, "cnn.0", statistics, steps=3, noise_samples=2)
        maps.append(bottleneck.attribute(clips[:2]).bits_per_pixel)
    torch.testing.assert_close(*maps, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rows", ["clip", "time", "times"])
def test_the_frame_that_decides_has_the_bits(rows):
    model, clips = Clips("NCT", rows, "third").eval(), clips_of("NCT")
    statistics = LayerStatistics.estimate(model, "cnn", [clips])
    found = PerSampleBottleneck(
        model, "cnn", statistics, beta=0.3, steps=12, noise_samples=1
    ).attribute(clips[:2])
    bits = found.bits_per_pixel.unflatten(0, (2, TIMES)).sum((2, 3))
    share = bits[:, 2] / bits.sum(1)
    assert (share > 2 / TIMES).all(), bits


@pytest.mark.parametrize("rows", ["clip", "time", "times", "clips"])
def test_head_and_tail_with_repeats_are_the_whole(rows):
    model, clips = Clips("NCT", rows).eval(), clips_of("NCT", 3)
    split = SplitModel(model, "cnn.0")
    with torch.no_grad():
        r, context = split.prepare_head()(clips)
        for tail in (split.tail, split.prepare()):
            found = tail(r.repeat_interleave(2, 0), context, 2)
            wanted = model(clips).repeat_interleave(2, 0)
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert r.shape == (3, 4, TIMES, 10, 12)
    assert split.time_first == (rows in ("time", "times"))


def test_other_types_and_one_logit():
    class One(Clips):
        def forward(self, x):
            return super().forward(x)[:, 1]

    model, clips = One().eval().double(), clips_of("NCT")
    with torch.no_grad():
        statistics = LayerStatistics.estimate(model, "cnn", [(clips, torch.zeros(4))])
        found = PerSampleBottleneck(model, "cnn", statistics, steps=2).attribute(clips[:1], 0)
    assert found.bits_per_pixel.shape == (TIMES, 12, 14) and found.logits.shape == (1, 2)


def test_one_decision_for_all_frames_is_refused():
    class Once(Clips):
        def forward(self, x):
            return self.last(self.wide(self.features(x))).mean(0, keepdim=True)

    model, frames = Once().eval(), clips_of("NTC")[0]
    for call in (
        lambda: LayerStatistics.estimate(model, "cnn", [frames]),
        lambda: SplitModel(model, "cnn").head(frames[:1]),
    ):
        with pytest.raises(VibaError, match=r"\(1, 2\) .* let it take clips \(N, 3, T, H, W\)"):
            call()


def test_what_has_no_place_on_the_frames_is_refused():
    class Mixed(Clips):
        """Rows in an order that depends on the batch."""

        def forward(self, x):
            z = self.features(x.transpose(1, 2).flatten(0, 1).flip(0))
            return self.last(self.wide(z.flip(0).unflatten(0, (-1, TIMES)).mean(1)))

    class Tokens(Clips):
        def forward(self, x):
            z = self.lstm(self.cnn(x.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2))[0]
            return self.last(z.mean(1)).unflatten(0, (-1, TIMES)).mean(1)

    clips = clips_of("NCT")
    with pytest.raises(VibaError, match="rows clip after clip or time after time"):
        LayerStatistics.estimate(Mixed().eval(), "cnn", [clips])
    with pytest.raises(VibaError, match="maps of each frame of clips"):
        LayerStatistics.estimate(Tokens().eval(), "lstm", [clips])
    model = Clips().eval()
    statistics = LayerStatistics.estimate(model, "cnn", [clips])
    with pytest.raises(VibaError, match=r"the readout bottleneck expects maps \(C, h, w\)"):
        ReadoutBottleneck(model, "cnn", ["cnn"], statistics)
