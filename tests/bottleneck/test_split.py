"""Cutting networks: the cut model must give what the complete model gives, at any layer."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.video import r3d_18
from torchvision.models.video.swin_transformer import SwinTransformer3d
from torchvision.models.vision_transformer import VisionTransformer

from tests.bottleneck.networks import Skip
from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.split import SplitModel, find_layer, frozen
from viba_lib.core.errors import VibaError
from viba_lib.models import flow_vgg11, xception
from viba_lib.models.flow_vgg import FLOW_LAYERS
from viba_lib.models.xception import XCEPTION_LAYERS


class Gated(nn.Module):
    """A value that does not come from the frames crosses the cut, and dropout is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3)
        self.gate = nn.Linear(1, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x):
        gate = self.gate(torch.ones(1, 1))
        x = functional.dropout(self.first(x).mean((2, 3)), 0.5, training=self.training)
        return self.last(x * gate)


class Inside(nn.Module):
    """The layer lies within a block whose skip begins before it, after an in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True))
        self.stem, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        return self.last((self.block(x) + x).mean((2, 3)))


class Blind(nn.Module):
    """A branch on the type of the input, which a trace takes the wrong way without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = self.first(x)
        return self.last((x if isinstance(x, torch.Tensor) else 2 * x).mean((2, 3)))


class Sideways(Blind):
    """A value with the batch along its last axis crosses the cut."""

    def forward(self, x):
        aside = x.mean((2, 3)).T
        mixed = self.first(x).mean((2, 3)).T[:3] * aside
        return functional.linear(mixed.T, self.last.weight[:, :3])


class Twice(Blind):
    """One layer at two places; the first of them is used again after the second."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        before = self.again(self.first(x))
        return self.last((self.again(before) * before).mean((2, 3)))


class Optional(Blind):
    """An argument that is not given, and the size of the batch across the cut."""

    def forward(self, x, mask=None):
        count = x.shape[0]
        if mask is not None:
            x = x * mask
        return self.last(self.first(x).mean((2, 3)).reshape(count, 4))


class Windows(Blind):
    """Two rows per input at the first layer, and a pair of tensors at the second."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.ModuleDict({"attention": nn.MultiheadAttention(4, 1, batch_first=True)})

    def forward(self, x):
        x = self.first(x.unflatten(2, (2, -1)).transpose(1, 2).flatten(0, 1))
        x = x.unflatten(0, (-1, 2)).mean((3, 4))
        return self.last(self.pair["attention"](x, x, x)[0].mean(1))


@pytest.fixture
def frames():
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(3))


def agrees(split, inputs, wanted, repeats):
    """Activation of the layer, once head and tail have given what the complete model gives."""
    r, context = split.head(inputs)
    kept = r.clone()
    found = split.tail(r.repeat_interleave(repeats, 0), context, repeats)
    torch.testing.assert_close(found, wanted.repeat_interleave(repeats, 0), rtol=1e-4, atol=1e-5)
    assert torch.equal(r, kept), "an in-place layer changed the activation"
    return r


def same_as_whole(model, layer, frames, repeats=3):
    model.eval()
    split = SplitModel(model, layer)
    with torch.no_grad():
        agrees(split, frames, model(frames), repeats)
    return split


@pytest.mark.parametrize(
    ("model", "layer"), [(Gated, "first"), (Inside, "block.1"), (Inside, "stem"), (Inside, "block")]
)
def test_head_and_tail_are_the_whole(model, layer, frames):
    torch.manual_seed(0)
    assert same_as_whole(model(), layer, frames).traced


@pytest.mark.parametrize("model", [Blind, Sideways, Twice])
def test_a_cut_that_is_wrong_gives_way_to_the_hook_and_says_so(model, frames, caplog):
    torch.manual_seed(0)
    with caplog.at_level("INFO", "viba_lib.bottleneck.split"):
        split = same_as_whole(model(), "again" if model is Twice else "first", frames)
    assert not split.traced
    assert f"{model.__name__} runs completely in each step" in caplog.text


def test_arguments_keep_their_defaults_and_the_size_of_a_batch_is_no_constant(frames):
    torch.manual_seed(0)
    model = Optional()
    for batch in (frames, frames[:1], torch.cat([frames, frames])):
        assert same_as_whole(model, "first", batch).traced
    split = SplitModel(model, "first")
    r, context = split.head(frames)
    found = split.tail(r.repeat_interleave(3, 0), context, 3)
    torch.testing.assert_close(found, model(frames).repeat_interleave(3, 0))


def test_a_cut_is_checked_once_for_each_split_model(frames):
    model, calls = Inside().eval(), []
    model.last.register_forward_hook(lambda *_: calls.append(1))
    split = SplitModel(model, "block")
    split.head(frames)
    assert calls
    calls.clear()
    split.head(frames)
    assert not calls


def test_a_check_does_not_outlive_the_weights_it_was_made_with(frames):
    """With a classifier of zeros every cut agrees; after training this one must be refused."""
    torch.manual_seed(0)
    model = Blind().eval()
    torch.nn.init.zeros_(model.last.weight)
    assert same_as_whole(model, "first", frames).traced
    torch.nn.init.normal_(model.last.weight)
    assert not same_as_whole(model, "first", frames).traced


def small_transformer(module, **settings):
    """A transformer of torchvision with two small stages, or two blocks."""
    settings = {"num_classes": 3} | settings
    if module is VisionTransformer:
        return module(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, **settings)
    clip = module is SwinTransformer3d
    patch, window = ([2, 4, 4], [2, 4, 4]) if clip else ([4, 4], [4, 4])
    return module(patch, 16, [2, 2], [2, 2], window, **settings)


def small_timm(name):
    return timm.create_model(
        name, img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=3
    )


CLIP, IMAGE = (3, 4, 32, 32), (3, 32, 32)
NETS = {
    "r3d_18": (
        lambda: r3d_18(weights=None),
        (3, 4, 16, 16),
        {"layer2": (128, 2, 4, 4), "layer3.1.conv1": (256, 1, 2, 2)},
    ),
    "swin3d": (
        lambda: small_transformer(SwinTransformer3d),
        CLIP,
        {"features.0": (2, 8, 8, 16), "features.1": (2, 4, 4, 32), "features.2.1": (2, 4, 4, 32)},
    ),
    "swin": (
        lambda: small_transformer(SwinTransformer),
        IMAGE,
        {"features.0": (8, 8, 16), "features.2": (4, 4, 32), "features.3.0.attn": (4, 4, 32)},
    ),
    "vit of torchvision": (
        lambda: small_transformer(VisionTransformer),
        IMAGE,
        {
            "conv_proj": (16, 4, 4),
            "encoder.layers.encoder_layer_0": (17, 16),
            "encoder.layers.encoder_layer_1.mlp": (17, 16),
        },
    ),
    "vit of timm": (
        lambda: small_timm("vit_tiny_patch16_224"),
        IMAGE,
        {"patch_embed": (16, 16), "blocks.0": (17, 16), "blocks.1.attn": (17, 16)},
    ),
    "deit of timm": (
        lambda: small_timm("deit_tiny_distilled_patch16_224"),
        IMAGE,
        {"blocks.0": (18, 16), "norm": (18, 16)},
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_networks_for_clips_and_transformers(name):
    torch.manual_seed(0)
    build, size, layers = NETS[name]
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # a head of zeros would agree with anything
                parameter.normal_(std=0.1)
        inputs = torch.randn(2, *size)
        wanted = model(inputs)
        assert wanted.std(0).max() > 1e-3 * wanted.abs().max()
        for layer, shape in layers.items():
            split = SplitModel(model, layer)
            agrees(split, inputs[:1], wanted[:1], 3)
            r = agrees(split, inputs, wanted, 1)
            assert split.traced, layer
            assert r.shape[1:] == shape
            agrees(split, inputs, wanted, 3)
        split._fall_back("the hook must agree")
        agrees(split, inputs, wanted, 3)


def test_each_layer_of_the_papers_detectors_can_be_cut():
    torch.manual_seed(0)
    for model, layers in ((xception(None), XCEPTION_LAYERS), (flow_vgg11(None), FLOW_LAYERS)):
        for layer in layers:
            assert same_as_whole(model, layer, torch.randn(1, 3, 64, 64), repeats=2).traced


def test_a_model_cut_in_training_mode_has_no_dropout_in_evaluation_mode(frames):
    model = Gated().train()
    split = SplitModel(model, "first")
    assert model.training
    with frozen(model):
        r, context = split.head(frames)
        assert torch.equal(split.tail(r, context), split.tail(r, context))


def test_a_layer_that_gives_no_map_is_refused(frames):
    with pytest.raises(VibaError, match="expected one tensor"):
        SplitModel(Gated().eval(), "last").head(frames)


def test_a_layer_of_several_tensors_names_others(frames):
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Windows()

        def forward(self, x):
            return self.inner(x)

    model = Held().eval()
    with pytest.raises(VibaError, match=r"a tuple of 2 .* inner.pair.attention.out_proj"):
        SplitModel(model, "inner.pair.attention").head(frames)
    with pytest.raises(VibaError, match=r"\(4, 4, 4, 10\) for 2 inputs.*inner around it"):
        SplitModel(model, "inner.first").head(frames)
    with pytest.raises(VibaError, match="did not run"):
        SplitModel(model, "inner.pair").head(frames)


def test_a_model_without_logits_is_told_what_to_do(frames):
    class Both(Inside):
        def forward(self, x):
            return {"logits": super().forward(x)}

    with pytest.raises(VibaError, match="a dict; expected logits"):
        SplitModel(Both().eval(), "block").head(frames)


def test_unknown_layers_name_near_ones():
    with pytest.raises(VibaError, match="first"):
        find_layer(Gated(), "frist")
    with pytest.raises(VibaError, match="dotted name"):
        find_layer(Gated(), "")


def test_modes_come_back_when_the_tail_fails(frames):
    class Fails(nn.Module):
        def forward(self, x):
            if x.requires_grad:
                raise ArithmeticError
            return x

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), Fails(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    with pytest.warns(UserWarning, match="statistics"):
        statistics = LayerStatistics.estimate(model, "0", [frames])
    model.train()
    bottleneck = PerSampleBottleneck(model, "0", statistics, steps=2)  # the last has no gradient
    bottleneck.split._graphs = None  # the hook serves where the graph cannot be cut
    with pytest.raises(ArithmeticError):
        bottleneck.attribute(frames)
    assert all(m.training for m in model.modules())
    assert not model[0]._forward_hooks
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_model_without_weights_is_on_the_cpu():
    assert device_of(nn.Sequential(nn.ReLU())).type == "cpu"


@pytest.mark.parametrize("there", ["meta", "cpu and meta"])
def test_weights_on_no_or_on_several_devices_are_refused(there):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    (model if there == "meta" else model[1]).to("meta")
    with pytest.raises(VibaError, match=f"on {there}; expected one device"):
        device_of(model)


@pytest.mark.parametrize("change", ["in place", "data", "statistics"])
def test_lean_copies_are_kept_until_the_weights_change(frames, change):
    torch.manual_seed(0)
    model = Skip().eval()
    split = SplitModel(model, "first")

    def logits():
        with torch.no_grad():
            z, context = split.prepare_head()(frames)
            return split.prepare()(z, context, 1)

    before, copies = logits(), dict(split._copies)
    assert torch.equal(logits(), before) and split._copies == copies
    with torch.no_grad():
        if change == "in place":
            model.last.weight.mul_(2)
        elif change == "data":
            model.last.weight.data.mul_(2)
        else:
            model.norm.running_mean.add_(1)
        torch.testing.assert_close(logits(), model(frames), rtol=1e-4, atol=1e-5)
    assert not torch.equal(logits(), before)
