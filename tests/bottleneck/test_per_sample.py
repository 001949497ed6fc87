"""The per-sample bottleneck against the slow reference, its settings and its errors."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.bottleneck.networks import Skip, with_trained_norm
from viba_lib.bottleneck import BottleneckSettings, LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.information import bits_per_pixel, gaussian_kl
from viba_lib.bottleneck.noise import Noise
from viba_lib.bottleneck.reference import reference_attribute
from viba_lib.bottleneck.settings import PRESETS
from viba_lib.bottleneck.split import SplitModel
from viba_lib.bottleneck.statistics import channel_means
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Untraceable(Skip):
    """Control flow on values, so that the graph cannot be cut."""

    def forward(self, x):
        if float(x.abs().sum()) < 0:
            x = -x
        return super().forward(x)


@pytest.fixture
def frames():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=[Skip, Untraceable])
def model(request):
    torch.manual_seed(0)
    return request.param().eval()


def statistics_of(model, layer="middle"):
    generator = torch.Generator().manual_seed(2)
    return LayerStatistics.estimate(model, layer, [torch.randn(20, 3, 16, 16, generator=generator)])


def reference_maps(model, statistics, frames, **settings):
    """Capacity of each frame by the slow implementation, for the predicted class."""
    target = model(frames).argmax(1).tolist()
    return torch.stack(
        [
            reference_attribute(
                model, "middle", statistics, frame, wanted, BottleneckSettings(**settings)
            )
            for frame, wanted in zip(frames, target, strict=True)
        ]
    )


def test_equals_the_reference_for_many_frames_at_once(model, frames):
    statistics, made = statistics_of(model), dict(steps=4, noise_samples=3)
    found = PerSampleBottleneck(model, "middle", statistics, **made).attribute(frames)
    wanted = reference_maps(model, statistics, frames, **made)
    torch.testing.assert_close(found.capacity, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("items_per_pass", [1, 32])
def test_gradients_equal_those_of_the_reference(model, frames, monkeypatch, items_per_pass):
    statistics, made = statistics_of(model), dict(steps=3, noise_samples=4)
    gradients = []
    step = torch.optim.Adam.step

    def watched(self, *arguments, **options):
        gradients.append(torch.cat([p.grad for p in self.param_groups[0]["params"]]))
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    reference_maps(model, statistics, frames, **made)
    # The reference optimises frame after frame: the second of three steps of each. The third one's
    # gradient would change nothing, and the bottleneck leaves it out.
    wanted = torch.stack([g.view(6, 8, 8) for g in gradients[1::3]])
    PerSampleBottleneck(
        model, "middle", statistics, items_per_pass=items_per_pass, **made
    ).attribute(frames)
    torch.testing.assert_close(gradients[-1], wanted, rtol=1e-4, atol=1e-5)


def test_a_frame_is_explained_as_if_it_were_alone(model, frames):
    statistics = statistics_of(model)
    make = dict(steps=3, noise_samples=2)
    together = PerSampleBottleneck(model, "middle", statistics, **make).attribute(frames)
    alone = PerSampleBottleneck(model, "middle", statistics, **make).attribute(frames[1:2])
    split = PerSampleBottleneck(
        model, "middle", statistics, frames_per_batch=2, items_per_pass=2, **make
    ).attribute(frames)
    torch.testing.assert_close(together.capacity[1:2], alone.capacity, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.capacity, split.capacity, rtol=1e-4, atol=1e-5)


def test_the_graph_is_cut_where_it_can_be():
    assert SplitModel(Skip(), "middle").traced
    assert not SplitModel(Untraceable(), "middle").traced


def test_noise_does_not_depend_on_passes_at_odd_sizes(model):
    """Several samples at once give other numbers if their size is not a multiple of 16."""
    frames = torch.randn(4, 3, 18, 18, generator=torch.Generator().manual_seed(4))
    statistics = LayerStatistics.estimate(model, "middle", [frames])
    assert statistics.mean.numel() % 16
    make = dict(steps=3, noise_samples=3)
    whole = PerSampleBottleneck(model, "middle", statistics, **make).attribute(frames)
    passes = PerSampleBottleneck(
        model, "middle", statistics, frames_per_batch=3, items_per_pass=1, **make
    ).attribute(frames)
    torch.testing.assert_close(whole.capacity, passes.capacity, rtol=1e-4, atol=1e-5)


def test_a_lambda_of_one_can_be_left_again(frames):
    """From alpha = 16.75 on, float32 has no 1 - lambda; the information must still have a slope."""
    torch.manual_seed(0)
    model = Skip().eval()
    found = PerSampleBottleneck(
        model, "middle", statistics_of(model), steps=4, noise_samples=1, initial_alpha=30.0
    ).attribute(frames)
    assert torch.isfinite(found.capacity).all()
    assert (found.history["information_loss"].diff(dim=0) < -0.9).all()


def test_half_precision_stays_near(frames):
    torch.manual_seed(0)
    model = Skip().eval()
    statistics = statistics_of(model)
    exact = PerSampleBottleneck(model, "middle", statistics, noise_samples=2).attribute(frames)
    fast = PerSampleBottleneck.fast(model, "middle", statistics).attribute(frames)
    assert fast.capacity.dtype == torch.float32
    both = torch.stack([exact.bits_per_pixel.flatten(), fast.bits_per_pixel.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.98


def test_targets_of_one_frame_or_of_all(frames):
    torch.manual_seed(0)
    model = Skip().eval()
    bottleneck = PerSampleBottleneck(
        model, "middle", statistics_of(model), steps=1, noise_samples=1, frames_per_batch=2
    )
    assert bottleneck.attribute(frames, [1, 0, 1]).target.tolist() == [1, 0, 1]
    assert bottleneck.attribute(frames, torch.tensor(1)).target.tolist() == [1, 1, 1]
    # As many as one batch holds, but not as many as there are frames.
    with pytest.raises(VibaError, match="2 values"):
        bottleneck.attribute(frames, torch.tensor([1, 0]))
    with pytest.raises(VibaError, match="float"):
        bottleneck.attribute(frames, torch.tensor([0.7]))


def test_the_layers_before_run_once(frames):
    torch.manual_seed(0)
    model = Skip().eval()
    statistics = statistics_of(model)
    bottleneck = PerSampleBottleneck(model, "middle", statistics, steps=5, noise_samples=2)
    bottleneck.attribute(frames[:1])  # checks the cut
    calls = []
    model.first.register_forward_hook(lambda *_: calls.append(1))
    bottleneck.attribute(frames)
    assert len(calls) == 1


def test_nothing_of_the_model_is_changed(model, frames):
    statistics = statistics_of(model)
    model.train()
    model.norm.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    PerSampleBottleneck(model, "middle", statistics, steps=2, noise_samples=1).attribute(frames)
    assert model.training and not model.norm.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.middle._forward_hooks


def test_hooks_and_modes_are_put_back_after_an_exception(model, frames):
    statistics = statistics_of(model)
    model.train()
    bottleneck = PerSampleBottleneck(model, "middle", statistics, steps=2, noise_samples=1)

    def fail(_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bottleneck.attribute(frames, progress=fail)
    assert model.training and not model.middle._forward_hooks
    assert all(p.requires_grad for p in model.parameters())


def test_a_dead_unit_gives_no_nan(frames):
    torch.manual_seed(0)
    model = Skip().eval()
    with torch.no_grad():
        model.middle.weight[0] = 0
        model.middle.bias[0] = 0
    statistics = statistics_of(model)
    assert not statistics.active[0].any()
    found = PerSampleBottleneck(model, "middle", statistics, steps=3, noise_samples=1).attribute(
        frames
    )
    assert torch.isfinite(found.capacity).all()
    assert (found.capacity[:, 0] == 0).all()


def test_kl_is_finite_and_right_near_one():
    one = torch.tensor([1.0, 1 - 1e-9, 0.0])
    nats = gaussian_kl(torch.zeros(3), one, torch.tensor(0.0), torch.tensor(1.0))
    assert torch.isfinite(nats).all() and nats[2] == 0
    lam, r = 0.7, 1.3
    p = torch.distributions.Normal(lam * r, 1 - lam)
    wanted = torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0))
    found = gaussian_kl(torch.tensor(r), torch.tensor(lam), torch.tensor(0.0), torch.tensor(1.0))
    torch.testing.assert_close(found, wanted)


def test_bits_keep_their_total():
    capacity = torch.rand(2, 4, 5, 5)
    wide = bits_per_pixel(capacity, (37, 41))
    assert wide.shape == (2, 37, 41)
    torch.testing.assert_close(wide.sum((1, 2)), capacity.sum((1, 2, 3)))


def test_the_seed_decides(model, frames):
    statistics = statistics_of(model)

    def run(seed):
        made = PerSampleBottleneck(model, "middle", statistics, steps=5, noise_samples=1, seed=seed)
        return made.attribute(frames).capacity

    state = torch.get_rng_state()
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(layer="midle"), "middle"),
        (dict(precision="float8"), "bfloat16"),
        (dict(steps=0), "steps"),
        (dict(beta=float("nan")), "beta"),
        (dict(frames_per_batch=0), "frames_per_batch"),
        (dict(betta=1.0), "betta"),
    ],
)
def test_wrong_settings_are_refused(change, words):
    model = Skip().eval()
    settings = {"layer": "middle", **change}
    layer = settings.pop("layer")
    with pytest.raises(VibaError, match=words):
        PerSampleBottleneck(model, layer, statistics_of(model), **settings)


@pytest.mark.parametrize(
    ("frames", "target", "words"),
    [
        (torch.zeros(1, 3, 20, 20), None, "statistics"),
        (torch.full((1, 3, 16, 16), float("nan")), None, "finite"),
        (torch.zeros(1, 3, 16, 16), 2, "expected one class from 0 to 1"),
        (torch.zeros(3, 16, 16), None, "expected"),
        (torch.zeros(0, 3, 16, 16), None, "at least one"),
    ],
)
def test_wrong_frames_are_refused(frames, target, words):
    model = Skip().eval()
    bottleneck = PerSampleBottleneck(model, "middle", statistics_of(model), steps=1)
    with pytest.raises(VibaError, match=words):
        bottleneck.attribute(frames, target)


def test_weights_that_are_not_finite_are_refused(frames):
    model = Skip().eval()
    statistics = statistics_of(model)
    with torch.no_grad():
        model.last.bias[0] = float("nan")
    with pytest.raises(VibaError, match="check its weights"):
        PerSampleBottleneck(model, "middle", statistics, steps=1).attribute(frames)


def test_another_size_of_frames_takes_new_statistics(model):
    wide = torch.randn(2, 3, 24, 20)
    with pytest.raises(VibaError, match="estimate statistics at their size"):
        PerSampleBottleneck(model, "middle", statistics_of(model), steps=1).attribute(wide)
    other = LayerStatistics.estimate(model, "middle", [wide])
    found = PerSampleBottleneck(model, "middle", other, steps=1).attribute(wide)
    assert found.bits_per_pixel.shape == (2, 24, 20)


def test_lambda_is_given_where_it_is_asked_for(model, frames):
    """In parts of different sizes, which are joined without holding all of them twice."""
    made = PerSampleBottleneck(
        model, "middle", statistics_of(model), steps=2, noise_samples=1, frames_per_batch=2
    )
    found, bare = made.attribute(frames, with_lam=True), made.attribute(frames)
    assert found.lam.shape == found.capacity.shape and not len(bare.lam)
    assert ((found.lam >= 0) & (found.lam <= 1)).all()
    assert torch.equal(found.capacity, bare.capacity)
    assert found.history["model_loss"].shape == (2, 3)


def test_mirrored_noise_cancels():
    noise = Noise(torch.full((3,), 2.0), torch.ones(3), seed=0, antithetic=True)
    one, two = noise.sample(2)
    torch.testing.assert_close((one + two) / 2, torch.full((3,), 2.0))
    # A pair may be torn apart by two passes.
    other = Noise(torch.full((3,), 2.0), torch.ones(3), seed=0, antithetic=True)
    assert torch.equal(torch.cat([other.sample(1), other.sample(1)]), torch.stack([one, two]))
    plain = Noise(torch.zeros(3), torch.ones(3), seed=0).sample(2)
    assert not torch.allclose(plain[0], -plain[1])


def test_a_warm_start_continues_from_the_previous_frame(model, frames):
    statistics = statistics_of(model)
    same = frames[:1].expand(3, -1, -1, -1)
    warm = PerSampleBottleneck(
        model, "middle", statistics, steps=3, noise_samples=1, warm_start=True
    ).attribute(same)
    information = warm.history["information_loss"]
    assert (information[0, 1:] < information[-1, :-1] * 1.05).all()
    cold = PerSampleBottleneck(model, "middle", statistics, steps=3, noise_samples=1)
    torch.testing.assert_close(warm.capacity[:1], cold.attribute(same[:1]).capacity)


def test_each_step_can_be_watched(model, frames):
    seen = []
    found = PerSampleBottleneck(
        model, "middle", statistics_of(model), steps=3, noise_samples=1
    ).attribute(frames, on_step=lambda step, capacity: seen.append((step, capacity.clone())))
    assert [step for step, _ in seen] == [1, 2, 3]
    torch.testing.assert_close(seen[-1][1], found.capacity)


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_presets_take_other_settings(model, frames, name):
    make = getattr(PerSampleBottleneck, name)
    bottleneck = make(model, "middle", statistics_of(model), steps=2, beta=3.0)
    assert bottleneck.settings.beta == 3.0 and bottleneck.settings.precision == "auto"
    assert len(bottleneck.attribute(frames).history["model_loss"]) == 2


def test_defaults_are_those_of_the_reference_implementation():
    published = dict(beta=10.0, steps=10, learning_rate=1.0, noise_samples=10, sigma=1.0)
    published |= dict(min_std=0.01, initial_alpha=5.0, precision="float32")
    model = Skip().eval()
    settings = PerSampleBottleneck(model, "middle", statistics_of(model)).settings
    assert settings == BottleneckSettings(**published)
    assert settings == replace(settings, **PRESETS["default"])


def test_a_lean_tail_is_the_tail(frames):
    model = with_trained_norm(Skip)
    split = SplitModel(model, "middle")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    z, context = split.head(frames)
    found = split.prepare()(z.clone(), context, 1)
    torch.testing.assert_close(found, model(frames), rtol=1e-4, atol=1e-5)
    split = SplitModel(model, "first")  # followed by a convolution and its batch norm
    lean = split.prepare()
    z, context = split.head(frames)
    torch.testing.assert_close(lean(z.clone(), context, 1), model(frames), rtol=1e-4, atol=1e-5)
    half = split.prepare("bfloat16")(z.clone(), context, 1)
    torch.testing.assert_close(half, model(frames), rtol=0.1, atol=0.1)
    assert half.dtype == torch.float32
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_first_steps_can_follow_the_information_alone(frames):
    torch.manual_seed(0)
    model, passes = Skip().eval(), []
    statistics, made = statistics_of(model), dict(noise_samples=1, steps=6, frames_per_batch=3)

    def attribute(start=None, **settings):
        bottleneck = PerSampleBottleneck(model, "middle", statistics, **made | settings)
        prepare = bottleneck.split.prepare

        def prepared(precision):
            tail = prepare(precision)
            passes.append(0)

            def counted(*given):
                passes[-1] += 1
                return tail(*given)

            return counted

        bottleneck.split.prepare = prepared
        return bottleneck.attribute(frames, start=start)

    plain, short = (attribute(information_steps=n) for n in (0, 2))
    still = attribute(information_steps=9, beta=0.0)
    assert passes == [1 + 6, 1 + 4, 1 + 1], "one without noise, then one a step, the last always"
    attribute(torch.full_like(short.capacity, 0.5), information_steps=2)
    assert passes[-1] == 1 + 6, "lambda need not be near 1 at a given start"
    loss = functional.cross_entropy(short.logits_clean, short.target, reduction="none")
    torch.testing.assert_close(short.history["model_loss"][:2], loss.expand(2, -1))
    assert (short.history["model_loss"][2:] != loss).all()
    # Near lambda = 1 the model has no say: in these steps the information falls as it does anyway.
    torch.testing.assert_close(
        short.history["information_loss"][:3], plain.history["information_loss"][:3],
        rtol=0.02, atol=0,
    )  # fmt: skip
    assert (still.history["information_loss"] == still.history["information_loss"][0]).all()


def test_a_varied_bottleneck_has_the_other_options_at_their_defaults(model, frames):
    statistics = statistics_of(model)
    first = PerSampleBottleneck(model, "middle", statistics, seed=3, beta=1.0, frames_per_batch=1)
    given = dict(seed=4, steps=3, noise_samples=2, frames_per_batch=2)
    again = first.varied(**given)
    assert again.split is first.split and (first.seed, first.frames_per_batch) == (3, 1)
    wanted = PerSampleBottleneck(model, "middle", statistics, **given)
    assert again.settings == wanted.settings
    assert torch.equal(again.attribute(frames).capacity, wanted.attribute(frames).capacity)
    with pytest.raises(VibaError, match="'stepz' is not a setting"):
        first.varied(stepz=3)


def test_the_first_call_gives_the_same_bits_as_those_after_it(model, frames):
    bottleneck = PerSampleBottleneck(model, "first", statistics_of(model, "first"), steps=2)
    first, second = (bottleneck.attribute(frames).capacity for _ in range(2))
    assert torch.equal(first, second)


def test_coupling_and_warm_start_exclude_each_other():
    model = Skip().eval()
    with pytest.raises(VibaError, match="choose one of them"):
        PerSampleBottleneck(
            model, "middle", statistics_of(model), warm_start=True, temporal_sigma=1.0
        )


class Clips(nn.Module):
    """A small network for clips."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(3, 4, 3, padding=1, stride=2)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).mean((2, 3, 4)))


def test_clips_come_back_frame_by_frame():
    torch.manual_seed(0)
    model = Clips().eval()
    clips = torch.randn(2, 3, 4, 8, 8)
    statistics = LayerStatistics.estimate(model, "first", [torch.randn(12, 3, 4, 8, 8)])
    assert statistics.input_size == (4, 8, 8)
    found = PerSampleBottleneck(model, "first", statistics, noise_samples=2).attribute(clips)
    assert found.capacity.shape == (2, 4, 2, 4, 4) and found.bits_per_pixel.shape == (8, 8, 8)
    totals = found.bits_per_pixel.unflatten(0, (2, 4)).sum((1, 2, 3))
    torch.testing.assert_close(totals, found.capacity.flatten(1).sum(1))
    with pytest.raises(VibaError, match=r"expected clips \(N, 3, T, H, W\)"):
        PerSampleBottleneck(model, "first", statistics).attribute(clips[:, :, 0])
    with pytest.raises(VibaError, match="leave both at 0"):
        PerSampleBottleneck(model, "first", statistics, temporal_sigma=1.0).attribute(clips)


class Tokens(nn.Module):
    """Patches and a class token, as a vision transformer has them."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 4, stride=4)
        self.cls = nn.Parameter(torch.randn(1, 1, 6))
        self.block = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = self.block(torch.cat([self.cls.expand(len(x), -1, -1), x], 1))
        return self.last(x[:, 0])


def test_tokens_come_back_as_maps_and_the_class_token_beside_them():
    torch.manual_seed(0)
    model = Tokens().eval()
    frames = torch.randn(3, 3, 16, 16)
    statistics = LayerStatistics.estimate(model, "block", [torch.randn(12, 3, 16, 16)])
    found = PerSampleBottleneck(model, "block", statistics, beta=0.01).attribute(frames)
    assert found.capacity.shape == (3, 17, 6) and found.bits_per_pixel.shape == (3, 16, 16)
    torch.testing.assert_close(
        found.bits_per_pixel.sum((1, 2)) + found.prefix_bits, found.capacity.sum((1, 2))
    )
    # Behind the block only the class token is read: it keeps more than one of the 16 patches does.
    assert (found.prefix_bits > 2 * found.bits_per_pixel.sum((1, 2)) / 16).all()


def test_predictions_under_new_noise_follow_the_equation(model, frames):
    statistics = statistics_of(model)
    bottleneck = PerSampleBottleneck(model, "middle", statistics, steps=3, noise_samples=2)
    found = bottleneck.attribute(frames, with_lam=True)
    sampled = bottleneck.predict_under_noise(frames, found.lam, 4)
    assert sampled.shape == (4, 3, 2) and sampled.std(0).max() > 0
    at_once = bottleneck.attribute(frames, draws=4)
    assert torch.equal(at_once.logits_drawn.transpose(0, 1), sampled) and at_once.lam.numel() == 0
    assert torch.equal(at_once.capacity, found.capacity)
    means = channel_means(SplitModel(bottleneck.model, bottleneck.layer), frames)
    torch.testing.assert_close(at_once.channel_means, means)
    assert torch.equal(sampled, bottleneck.predict_under_noise(frames, found.lam, 4)), (
        "a seed, a result"
    )
    assert not torch.equal(sampled, bottleneck.predict_under_noise(frames, found.lam, 4, seed=9))
    each = zip(frames.split(1), found.lam.split(1), strict=True)
    alone = torch.cat([bottleneck.predict_under_noise(one, lam, 4) for one, lam in each], 1)
    torch.testing.assert_close(sampled, alone, rtol=1e-4, atol=1e-5)
    transmitted = bottleneck.predict_under_noise(frames, torch.ones_like(found.lam), 2)
    torch.testing.assert_close(transmitted[0], found.logits_clean, rtol=1e-4, atol=1e-5)
    with pytest.raises(VibaError, match=r"^lam has shape .*expected lambda of 3 frames"):
        bottleneck.predict_under_noise(frames, found.lam[:1], 2)
