"""The per-sample bottleneck: Eq. (1) and (2) of the paper, optimised for each frame."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.information import LN2, Attribution, unit_kl, unit_kl_slope
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.noise import Noise
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.tail import CutModel, Tail, device_of, frozen
from viba_lib.bottleneck.temporal import roughness, smooth_time
from viba_lib.errors import VibaError

# Larger tensors are given back to the system and asked for anew in each operation, page by page.
TENSOR_BYTES = 24 * 2**20
MOST_FRAMES = 32
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_frames(frames: torch.Tensor, statistics: LayerStatistics) -> None:
    """Refuse frames of another size than the statistics, and values that are not finite."""
    wanted = tuple(statistics.input_size)
    if frames.dim() != 2 + len(wanted):
        expected = "(T, 3, H, W)" if len(wanted) == 2 else "clips (N, 3, T, H, W)"
        raise VibaError(f"frames have shape {tuple(frames.shape)}; expected {expected}")
    if tuple(frames.shape[2:]) != wanted:
        raise VibaError(
            f"frames are {tuple(frames.shape[2:])} px and the statistics of "
            f"{statistics.layer!r} are for {tuple(statistics.input_size)} px; scale the frames, or "
            "estimate statistics at their size"
        )
    if not len(frames):
        raise VibaError("no frames to explain; expected at least one")
    if not torch.isfinite(frames).all():
        raise VibaError("frames hold NaN or infinite values; expected finite inputs")


def check_target(
    target: torch.Tensor | Sequence[int] | int | None, logits: torch.Tensor, frames: int
) -> torch.Tensor:
    """Target class per frame (T,); None = the class that the model predicts."""
    if target is None:
        return logits.argmax(1)
    chosen = spread_target(target, frames).to(logits.device)
    if chosen.min() < 0 or chosen.max() >= logits.shape[1]:
        raise VibaError(
            f"target {chosen.tolist()[:8]} for {frames} frames; expected one class from 0 to "
            f"{logits.shape[1] - 1} per frame, or None for the predicted class"
        )
    return chosen


def spread_target(target: torch.Tensor | Sequence[int] | int, frames: int) -> torch.Tensor:
    """Target classes as (T,) integers; one class serves all frames."""
    given = torch.as_tensor(target).reshape(-1)
    if len(given) not in (1, frames) or given.is_floating_point():
        raise VibaError(
            f"target holds {len(given)} values of {given.dtype} for {frames} frames; expected one "
            "class index per frame, one for all, or None for the predicted class"
        )
    return given.long().expand(frames)


@dataclass
class _Batch:
    """Frames that are optimised side by side: what stays the same over the steps, and alpha."""

    layout: Layout
    r: torch.Tensor
    normal: torch.Tensor
    active: torch.Tensor
    target: torch.Tensor
    clean: torch.Tensor
    alphas: list[torch.Tensor]
    noise: Noise


@dataclass(frozen=True)
class _Found:
    """What the forward pass of one step found, for the frames that are still optimised."""

    nats: torch.Tensor
    keep: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor


class PerSampleBottleneck:
    """Optimise lambda for each frame: what of a layer does the prediction need?

    The defaults compute what the reference implementation of Schulz et al. (2020) computes. All
    frames of a call are optimised side by side, each as if it were alone.

    Parameters
    ----------
    model : any module whose input is frames (T, 3, H, W) or clips (N, 3, T, H, W)
    layer : dotted name of a layer whose output is one tensor: (T, C, h, w), (N, C, t, h, w) or
        tokens (N, L, C)
    statistics : of that layer
    beta : weight of the information loss, which is a mean over units (beta / k in the paper)
    steps, learning_rate : of Adam
    noise_samples : draws of the noise per step
    sigma : Gaussian smoothing of lambda in units of the layer; 0 = none
    min_std : least standard deviation of the noise, so that a dead unit gives no NaN
    initial_alpha : start value; lambda = sigmoid(alpha)
    seed : of the noise, which is the same for each frame, so that results do not depend on batches
    precision : of the layers after the bottleneck: "float32", "bfloat16" or "float16"
    frames_per_batch, items_per_pass : frames optimised side by side; frames times samples that
        go through the tail at once. They bound the memory and change no result but rounding.
        None = as many as keep a tensor of the layer's size under 24 MiB.
    temporal_sigma : Gaussian smoothing of lambda along consecutive frames, in frames; 0 = each
        frame alone, as in the paper. Otherwise all frames of a call form one batch.
    temporal_weight : weight of a penalty on changes of lambda from frame to frame; couples the
        frames of a call as well
    antithetic : draw noise in pairs of opposite sign; an error of the first order cancels
    stop_below : a frame stops where a step changes less than this share of its map; 0 = never
    warm_start : each frame starts where the one before it ended, one after another
    channels_last : memory format of activations (T, C, h, w); changes rounding only
    compile : compile the tail with torch.compile; pays for itself in long runs
    layout : order of the layer's axes: "auto", "channels_first", "channels_last", "tokens", or a
        `Layout` with the grid and the number of tokens that belong to no place

    Raises
    ------
    VibaError
        Unknown layer, statistics of another layer, settings out of range or at odds.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        statistics: LayerStatistics,
        beta: float = 10.0,
        steps: int = 10,
        learning_rate: float = 1.0,
        noise_samples: int = 10,
        sigma: float = 1.0,
        min_std: float = 0.01,
        initial_alpha: float = 5.0,
        seed: int = 0,
        precision: str = "float32",
        frames_per_batch: int | None = None,
        items_per_pass: int | None = None,
        temporal_sigma: float = 0.0,
        temporal_weight: float = 0.0,
        antithetic: bool = False,
        stop_below: float = 0.0,
        warm_start: bool = False,
        channels_last: bool = True,
        compile: bool = False,
        layout: str | Layout = "auto",
    ) -> None:
        self.cut = CutModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        if precision not in PRECISIONS:
            raise VibaError(f"precision {precision!r} is not known; choose of {list(PRECISIONS)}")
        fit = max(1, min(MOST_FRAMES, TENSOR_BYTES // (4 * statistics.mean.numel())))
        frames_per_batch = fit if frames_per_batch is None else frames_per_batch
        items_per_pass = fit if items_per_pass is None else items_per_pass
        above = {"steps": steps, "noise_samples": noise_samples, "min_std": min_std}
        above |= {"frames_per_batch": frames_per_batch, "items_per_pass": items_per_pass}
        above |= {"learning_rate": learning_rate}
        for name, value in above.items():
            if not value > 0:
                raise VibaError(f"{name} is {value}; expected a number above 0")
        least = {"beta": beta, "sigma": sigma, "stop_below": stop_below}
        least |= {"temporal_sigma": temporal_sigma, "temporal_weight": temporal_weight}
        for name, value in least.items():
            if not value >= 0:
                raise VibaError(f"{name} is {value}; expected 0 or more")
        self.coupled = temporal_sigma > 0 or temporal_weight > 0
        if self.coupled and warm_start:
            raise VibaError(
                "warm_start takes frames one after another, a temporal coupling takes them "
                "together; choose one of them"
            )
        self.model, self.layer, self.statistics = model, layer, statistics
        self.beta, self.steps, self.learning_rate = beta, steps, learning_rate
        self.noise_samples, self.sigma, self.min_std = noise_samples, sigma, min_std
        self.initial_alpha, self.seed, self.precision = initial_alpha, seed, precision
        self.frames_per_batch, self.items_per_pass = frames_per_batch, items_per_pass
        self.temporal_sigma, self.temporal_weight = temporal_sigma, temporal_weight
        self.antithetic, self.stop_below, self.warm_start = antithetic, stop_below, warm_start
        self.channels_last, self.compile, self.layout = channels_last, compile, layout

    @classmethod
    def fast(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: one noise sample and the tail in bfloat16; same steps, nearly the same map."""
        chosen: dict[str, Any] = {"noise_samples": 1, "precision": "bfloat16"}
        return cls(model, layer, statistics, **(chosen | settings))

    @classmethod
    def accurate(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: 40 steps, paid for by noise samples; truer maps than the defaults, not the same.

        Ten steps from alpha = 5 do not converge (see the chapter on speed).
        """
        chosen: dict[str, Any] = {"steps": 40, "noise_samples": 2, "antithetic": True}
        return cls(model, layer, statistics, **(chosen | {"precision": "bfloat16"} | settings))

    def attribute(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | Sequence[int] | int | None = None,
        progress: Callable[[int], None] | None = None,
        start: torch.Tensor | None = None,
        on_step: Callable[[int, torch.Tensor], None] | None = None,
    ) -> Attribution:
        """Maps of frames.

        Parameters
        ----------
        frames : (T, 3, H, W), or clips (N, 3, T, H, W), each of which counts as one frame
        target : (T,) class indices, one for all, or None = predicted class of each frame
        progress : called with the number of finished frames
        start : lambda (T, C, h, w) to begin with, such as a readout's; None = initial_alpha
        on_step : called in each step with its number, from 1, and the capacity (T', C, h, w) of
            the frames of the batch before that step's update

        Returns
        -------
        Attribution with T frames; of clips, the maps of all frames, clip after clip. As in the
        reference, the map is that of the forward pass before the last Adam step.
        """
        check_frames(frames, self.statistics)
        targets = None if target is None else spread_target(target, len(frames))
        alpha = None if start is None else self._alpha(start, len(frames))
        device = device_of(self.model)
        size = len(frames) if self.coupled else 1 if self.warm_start else self.frames_per_batch
        parts: list[Attribution] = []
        with frozen(self.model):
            tail = self.cut.prepare(PRECISIONS[self.precision], self.compile)
            for begin in range(0, len(frames), size):
                part = slice(begin, begin + size)
                wanted = None if targets is None else targets[part]
                given = None if alpha is None else alpha[part]
                if self.warm_start and parts:
                    given = self._alpha(parts[-1].keep[-1:], 1)
                batch = frames[part].to(device)
                parts.append(self._optimise(batch, wanted, given, tail, on_step))
                if progress is not None:
                    progress(min(begin + size, len(frames)))
        return Attribution.join(parts)

    def _alpha(self, start: torch.Tensor, frames: int) -> torch.Tensor:
        if tuple(start.shape) != (frames, *self.statistics.mean.shape):
            raise VibaError(
                f"start has shape {tuple(start.shape)}; expected lambda of {frames} frames, "
                f"{(frames, *self.statistics.mean.shape)}"
            )
        return torch.logit(start.float().clamp(0.0, 1.0), eps=1e-6)

    def _smooth(self, keep: torch.Tensor, layout: Layout) -> torch.Tensor:
        return smooth_time(layout.smooth(keep, self.sigma), self.temporal_sigma)

    def _format(self, units: torch.Tensor) -> torch.Tensor:
        if self.channels_last and units.dim() == 4:
            return units.contiguous(memory_format=torch.channels_last)
        return units

    def _begin(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | None,
        alpha: torch.Tensor | None,
        tail: Tail,
    ) -> _Batch:
        with torch.no_grad():
            r = self._format(self.cut.head(frames))
            clean = tail(r.clone(), 1)
        if not torch.isfinite(clean).all():
            raise VibaError("the model's output is not finite; check its weights")
        if self.statistics.mean.shape != r.shape[1:]:
            raise VibaError(f"statistics are of {tuple(self.statistics.mean.shape)}, the layer "
                            f"gives {tuple(r.shape[1:])}; estimate them anew")  # fmt: skip
        if self.coupled and frames.dim() == 5:
            raise VibaError(
                "temporal_sigma and temporal_weight couple frames (T, 3, H, W); the model takes "
                "clips, whose layers span time already: leave both at 0"
            )
        # timm's transformers say how many tokens stand before those of the picture.
        prefix = getattr(self.model, "num_prefix_tokens", None)
        fill = torch.full_like(r, self.initial_alpha)
        first = fill if alpha is None else self._format(alpha.to(fill))
        mean = self._format(self.statistics.mean.to(r)[None])
        std = self._format(self.statistics.std.to(r).clamp_min(self.min_std)[None])
        active = self._format(self.statistics.active.to(r)[None])
        return _Batch(
            layout=Layout.infer(self.layout, r, tuple(frames.shape[2:]), prefix),
            r=r * active,
            normal=(r - mean) / std,
            active=active,
            target=check_target(target, clean, len(frames)),
            clean=clean,
            # Frames that may stop one by one need parameters of their own.
            alphas=[
                a.clone().requires_grad_()
                for a in first.split(1 if self.stop_below > 0 and not self.coupled else len(first))
            ],
            noise=Noise((mean * active)[0], (std * active)[0], self.seed, self.antithetic),
        )

    def _optimise(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | None,
        alpha: torch.Tensor | None,
        tail: Tail,
        on_step: Callable[[int, torch.Tensor], None] | None,
    ) -> Attribution:
        batch = self._begin(frames, target, alpha, tail)
        optimizer = torch.optim.Adam(batch.alphas, lr=self.learning_rate, fused=True)
        live = list(range(len(frames)))
        nats, kept, logits = torch.zeros_like(batch.r), torch.zeros_like(batch.r), batch.clean
        history: dict[str, list[torch.Tensor]] = {"model_loss": [], "information_loss": []}
        for step in range(1, self.steps + 1):
            optimizer.zero_grad(set_to_none=True)
            found = self._step(batch, live, tail)
            optimizer.step()
            change = _change(found.nats, nats[live]) if self.stop_below > 0 else found.loss
            nats, kept, logits = (
                _put(old, live, new)
                for old, new in ((nats, found.nats), (kept, found.keep), (logits, found.logits))
            )
            losses = {"model_loss": found.loss, "information_loss": found.nats.flatten(1).mean(1)}
            for key, values in losses.items():
                empty = torch.full((len(frames),), math.nan)
                history[key].append(_put(empty, live, values.cpu()))
            if on_step is not None:
                on_step(step, nats / LN2)
            live = self._still(live, change)
            if not live:
                break
        capacity = nats / LN2
        return Attribution(
            capacity.contiguous().cpu(),
            batch.layout.bits_per_pixel(capacity, tuple(frames.shape[2:])).cpu(),
            logits.cpu(),
            batch.clean.cpu(),
            batch.target.cpu(),
            {name: torch.stack(values) for name, values in history.items()},
            kept.contiguous().cpu(),
            batch.layout.unplaced(capacity).cpu(),
        )

    def _still(self, live: list[int], change: torch.Tensor) -> list[int]:
        """Frames that go on; those of a coupled clip stop together."""
        if self.stop_below <= 0:
            return live
        if self.coupled:
            return live if bool((change >= self.stop_below).any()) else []
        places = [n for n, value in enumerate(change.tolist()) if value >= self.stop_below]
        if 0 < len(places) < len(live):
            self.cut.narrow(places)
        return [live[n] for n in places]

    def _step(self, batch: _Batch, live: list[int], tail: Tail) -> _Found:
        """Gradients at alpha of the frames in `live`, and what this step's forward pass found."""
        whole = len(live) == len(batch.r)
        r, normal = (x if whole else self._format(x[live]) for x in (batch.r, batch.normal))
        alphas = [batch.alphas[i] for i in live] if len(batch.alphas) > 1 else batch.alphas
        alpha = torch.cat(alphas) if len(alphas) > 1 else alphas[0]
        # What is smoothed is 1 - lambda: near lambda = 1 it keeps the digits that the information
        # needs for its slope, and 1 minus the smoothed is lambda, smoothed.
        rest = self._smooth(torch.sigmoid(-alpha), batch.layout)
        keep = (1 - rest.detach()).requires_grad_()
        logits, loss = self._noisy(batch, r, keep, batch.target[live], tail)
        if self.temporal_weight > 0:
            (self.temporal_weight * roughness(keep)).backward()
        assert keep.grad is not None  # _noisy went backward through the tail
        with torch.no_grad():
            nats = unit_kl(normal, keep, rest) * batch.active
            slope = unit_kl_slope(normal, keep, rest) * batch.active
            # The information is a mean over units.
            gradient = keep.grad.add_(slope, alpha=self.beta / normal[0].numel())
        rest.backward(-gradient)
        return _Found(nats, keep.detach(), logits, loss)

    def _noisy(
        self,
        batch: _Batch,
        r: torch.Tensor,
        keep: torch.Tensor,
        target: torch.Tensor,
        tail: Tail,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and model loss (T,), means over noise samples; the gradient goes to `keep`."""
        frames, samples = len(r), self.noise_samples
        logits, loss = torch.zeros(()), torch.zeros(frames, device=r.device)
        per_pass = max(1, self.items_per_pass // frames)
        for start in range(0, samples, per_pass):
            count = min(per_pass, samples - start)
            epsilon = batch.noise.draw(count)
            # Eq. (1) for each frame and each draw, epsilon + lambda (r - epsilon); one draw needs
            # no axis of its own. Inactive units are zero in r and in the noise, and so in z.
            if count == 1:
                z = torch.lerp(self._format(epsilon).expand_as(r), r, keep)
            else:
                wide = (len(r), count, *r.shape[1:])
                ends = (epsilon[None].expand(wide), r[:, None].expand(wide))
                z = self._format(torch.lerp(*ends, keep[:, None].expand(wide)).flatten(0, 1))
            found = tail(z, count)
            each = functional.cross_entropy(
                found, target.repeat_interleave(count), reduction="none"
            ).view(frames, count)
            # Frames are summed, samples averaged: each frame is optimised as if it were alone.
            (each.sum() / samples).backward()
            logits = logits.to(r.device) + found.detach().view(frames, count, -1).sum(1) / samples
            loss += each.detach().sum(1) / samples
        return logits, loss


def _put(old: torch.Tensor, rows: list[int], new: torch.Tensor) -> torch.Tensor:
    """`old` with some rows replaced, without a copy where all are."""
    if len(rows) == len(old):
        return new
    old = old.clone()
    old[rows] = new
    return old


def _change(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Share of each frame's capacity (T, ...) that a step changed, unit by unit: (T,)."""
    a, b = new.flatten(1), old.flatten(1)
    return (a - b).abs().sum(1) / a.abs().sum(1).clamp_min(1e-12)
