"""The readout bottleneck against a plain version, its training and its file."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, ReadoutBottleneck
from viba_lib.core.errors import VibaError


@pytest.fixture
def setting():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3),
        nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 2),
    ).eval()  # fmt: skip
    frames = torch.randn(4, 3, 16, 16)
    with pytest.warns(UserWarning, match="statistics"):
        return model, LayerStatistics.estimate(model, "0", [frames]), frames


def fitted(setting, **settings):
    model, statistics, frames = setting
    readout = ReadoutBottleneck(
        model, "0", ["3", "5"], statistics, **({"learning_rate": 1e-2} | settings)
    )
    return readout, readout.fit(list(frames.split(3)), epochs=6)


def test_equals_a_plain_version(setting):
    model, statistics, frames = setting
    readout, _ = fitted(setting)
    with torch.no_grad():
        r = model[0](frames)
        later = [model[:4](frames), model[:6](frames)]
        wide = torch.cat(
            [functional.interpolate(x, size=(16, 16), mode="bilinear") for x in later], 1
        )
        mean = wide.mean((0, 2, 3), keepdim=True)
        std = wide.std((0, 2, 3), keepdim=True, correction=0)
        alpha = readout.network((wide - mean) / std)
        taps = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 2)
        kernel = (taps[:, None] * taps / taps.sum() ** 2).expand(4, 1, 5, 5)
        lam = functional.pad(torch.sigmoid(alpha), (2, 2, 2, 2), mode="reflect")
        lam = functional.conv2d(lam, kernel, groups=4)
        z = (r - statistics.mean) / statistics.std.clamp_min(0.01)
        kl = -0.5 * (1 + torch.log((1 - lam) ** 2) - (lam * z) ** 2 - (1 - lam) ** 2)
        wanted = kl * statistics.active / math.log(2)
    torch.testing.assert_close(readout.attribute(frames).capacity, wanted, rtol=1e-3, atol=1e-4)


def test_training_lowers_the_loss_and_leaves_the_model_alone(setting):
    model, _, _ = setting
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    _, losses = fitted(setting)
    assert losses[-1] < losses[0]
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
    assert torch.equal(state, torch.get_rng_state())


def test_a_frame_does_not_depend_on_its_neighbours(setting):
    readout, _ = fitted(setting)
    frames = setting[2]
    together, alone = readout.attribute(frames), readout.attribute(frames[2:3])
    torch.testing.assert_close(together.logits[2:3], alone.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.capacity[2:3], alone.capacity, rtol=1e-4, atol=1e-5)


def test_training_starts_with_nearly_all_information(setting):
    readout, _ = fitted(setting, learning_rate=1e-9)
    found = readout.attribute(setting[2])
    torch.testing.assert_close(found.logits, found.logits_clean, rtol=0.05, atol=0.02)


def test_a_dead_channel_gives_no_nan(setting):
    model, _, frames = setting
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = 0
    with pytest.warns(UserWarning, match="statistics"):
        statistics = LayerStatistics.estimate(model, "0", [frames])
    readout, losses = fitted((model, statistics, frames))
    assert all(math.isfinite(loss) for loss in losses)
    assert (readout.attribute(frames).capacity[:, 1] == 0).all()


def test_survives_the_disk(setting, tmp_path):
    model, statistics, frames = setting
    readout, _ = fitted(setting)
    path = readout.save(tmp_path / "new" / "r.safetensors")
    again = ReadoutBottleneck(model, "0", ["3", "5"], statistics).load(path)
    assert torch.equal(again.attribute(frames).capacity, readout.attribute(frames).capacity)


def test_wrong_uses_are_refused(setting, tmp_path):
    model, statistics, frames = setting
    readout = ReadoutBottleneck(model, "0", ["3"], statistics)
    with pytest.raises(VibaError, match="not trained"):
        readout.attribute(frames)
    with pytest.raises(VibaError, match="not trained"):
        readout.save(tmp_path / "r.safetensors")
    with pytest.raises(VibaError, match="not a readout bottleneck"):
        readout.load(tmp_path / "none.safetensors")
    with pytest.raises(VibaError, match="no batches"):
        readout.fit([])
    with pytest.raises(VibaError, match="px"):
        readout.fit([torch.zeros(1, 3, 20, 20)])
    with pytest.raises(VibaError, match="readout_layers"):
        ReadoutBottleneck(model, "0", [], statistics)
    with pytest.raises(VibaError, match="no layer"):
        ReadoutBottleneck(model, "0", ["30"], statistics)


def test_a_training_that_was_stopped_ends_like_an_undisturbed_one(setting, tmp_path):
    model, statistics, frames = setting
    batches, path = list(frames.split(3)), tmp_path / "readout.pt"

    def make():
        return ReadoutBottleneck(model, "0", ["3", "5"], statistics, learning_rate=1e-2)

    whole = make()
    wanted = whole.fit(batches, epochs=5)

    def stop(epoch, _loss):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make().fit(batches, epochs=5, progress=stop, checkpoint=path)
    resumed = make()
    assert resumed.fit(batches, epochs=5, checkpoint=path) == wanted
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value)


def test_a_checkpoint_of_another_readout_is_refused(setting, tmp_path):
    model, statistics, frames = setting
    path = tmp_path / "readout.pt"
    ReadoutBottleneck(model, "0", ["3", "5"], statistics).fit([frames], 1, checkpoint=path)
    with pytest.raises(VibaError, match="remove it to start again"):
        ReadoutBottleneck(model, "0", ["5"], statistics).fit([frames], 1, checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(setting, tmp_path, content):
    model, statistics, frames = setting
    path = tmp_path / "readout.pt"
    path.write_bytes(content)
    with pytest.raises(VibaError, match=r"readout.pt is not a checkpoint .*remove it to start"):
        ReadoutBottleneck(model, "0", ["5"], statistics).fit([frames], 1, checkpoint=path)


def test_a_file_of_other_shapes_is_no_readout(setting, tmp_path):
    model, statistics, _ = setting
    path = tmp_path / "other.safetensors"
    save_file({"mean": torch.zeros(3), "std": torch.ones(3)}, path)
    with pytest.raises(VibaError, match="not a readout bottleneck"):
        ReadoutBottleneck(model, "0", ["5"], statistics).load(path)


def test_lambda_of_the_readout_starts_the_per_sample_bottleneck(setting):
    model, statistics, frames = setting
    readout, _ = fitted(setting)
    start = readout.predict_lam(frames)
    made = dict(steps=1, noise_samples=1, sigma=0.0)
    from_readout = PerSampleBottleneck(model, "0", statistics, **made).attribute(
        frames, start=start, with_lam=True
    )
    torch.testing.assert_close(from_readout.lam, start, rtol=1e-3, atol=1e-4)
    with pytest.raises(VibaError, match="expected lambda of 4 frames"):
        PerSampleBottleneck(model, "0", statistics, **made).attribute(frames, start=start[:1])


def test_the_transmitted_signal_may_be_negative(setting):
    """The layer lies before its ReLU: the reference clamps at zero there, and changes the model."""
    model, _, frames = setting
    readout, _ = fitted(setting, learning_rate=1e-9)
    seen = []

    def look(z, context, repeats=1):
        seen.append(z)
        return model[1:](z.clone())

    readout.split.prepare = lambda *_: look
    readout.attribute(frames)
    with torch.no_grad():
        r = model[0](frames)
    assert (r < -0.1).any() and (seen[0][r < -0.1] < 0).float().mean() > 0.9


def test_hooks_and_modes_are_put_back_when_training_fails(setting):
    model, statistics, frames = setting
    model.train()
    readout = ReadoutBottleneck(model, "0", ["3", "5"], statistics)

    def fail(_epoch, _loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        readout.fit([frames], epochs=2, progress=fail)
    model[4].forward, whole = lambda _: 1 / 0, model[4].forward
    with pytest.raises(ZeroDivisionError):
        readout.fit([frames], epochs=1)
    model[4].forward = whole
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
