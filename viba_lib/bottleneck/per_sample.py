"""The per-sample bottleneck: Eq. (1) and (2) of the paper, optimised for each frame."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.information import LN2, Attribution, bits_per_pixel, gaussian_kl, smooth
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.tail import CutModel, device_of, frozen
from viba_lib.bottleneck.temporal import smooth_time
from viba_lib.errors import VibaError

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_frames(frames: torch.Tensor, statistics: LayerStatistics) -> None:
    """Refuse frames of another size than the statistics, and values that are not finite."""
    if frames.dim() != 4:
        raise VibaError(f"frames have shape {tuple(frames.shape)}; expected (T, 3, H, W)")
    if tuple(frames.shape[-2:]) != tuple(statistics.input_size):
        raise VibaError(
            f"frames are {tuple(frames.shape[-2:])} px and the statistics of "
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


class PerSampleBottleneck:
    """Optimise lambda for each frame: what of a layer does the prediction need?

    The defaults compute what the reference implementation of Schulz et al. (2020) computes. All
    frames of a call are optimised side by side, each as if it were alone.

    Parameters
    ----------
    model : any module whose input is (T, 3, H, W)
    layer : dotted name of a layer whose output is (T, C, h, w)
    statistics : of that layer
    beta : weight of the information loss, which is a mean over units (beta / k in the paper)
    steps, learning_rate : of Adam
    noise_samples : draws of the noise per step
    sigma : Gaussian smoothing of lambda in units of the layer; 0 = none
    min_std : least standard deviation of the noise, so that a dead unit gives no NaN
    initial_alpha : start value; lambda = sigmoid(alpha)
    seed : of the noise; each frame has its own, so that results do not depend on batches
    precision : of the layers after the bottleneck: "float32", "bfloat16" or "float16"
    frames_per_batch, items_per_pass : frames optimised side by side; frames times samples that
        go through the tail at once. They bound the memory and change no result but rounding.
    temporal_sigma : Gaussian smoothing of lambda along consecutive frames, in frames; 0 = each
        frame alone, as in the paper. Otherwise all frames of a call form one batch.

    Raises
    ------
    VibaError
        Unknown layer, statistics of another layer, settings out of range.
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
        frames_per_batch: int = 16,
        items_per_pass: int = 32,
        temporal_sigma: float = 0.0,
    ) -> None:
        self.cut = CutModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        if precision not in PRECISIONS:
            raise VibaError(f"precision {precision!r} is not known; choose of {list(PRECISIONS)}")
        numbers = {"steps": steps, "noise_samples": noise_samples, "min_std": min_std}
        numbers |= {"frames_per_batch": frames_per_batch, "items_per_pass": items_per_pass}
        numbers |= {"learning_rate": learning_rate}
        for name, value in numbers.items():
            if not value > 0:
                raise VibaError(f"{name} is {value}; expected a number above 0")
        for name, value in {"beta": beta, "sigma": sigma, "temporal_sigma": temporal_sigma}.items():
            if not value >= 0:
                raise VibaError(f"{name} is {value}; expected 0 or more")
        self.model, self.layer, self.statistics = model, layer, statistics
        self.beta, self.steps, self.learning_rate = beta, steps, learning_rate
        self.noise_samples, self.sigma, self.min_std = noise_samples, sigma, min_std
        self.initial_alpha, self.seed, self.precision = initial_alpha, seed, precision
        self.frames_per_batch, self.items_per_pass = frames_per_batch, items_per_pass
        self.temporal_sigma = temporal_sigma

    @classmethod
    def fast(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: the tail in bfloat16 and two noise samples; same steps, nearly the same map."""
        chosen: dict[str, Any] = {"noise_samples": 2, "precision": "bfloat16"}
        return cls(model, layer, statistics, **(chosen | settings))

    def attribute(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | Sequence[int] | int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Attribution:
        """Maps of frames.

        Parameters
        ----------
        frames : (T, 3, H, W)
        target : (T,) class indices, one for all, or None = predicted class of each frame
        progress : called with the number of finished frames

        Returns
        -------
        Attribution with T frames. As in the reference, the map is that of the forward pass before
        the last Adam step.
        """
        check_frames(frames, self.statistics)
        targets = None if target is None else spread_target(target, len(frames))
        device = device_of(self.model)
        size = len(frames) if self.temporal_sigma > 0 else self.frames_per_batch
        parts = []
        with frozen(self.model):
            for start in range(0, len(frames), size):
                part = slice(start, start + size)
                wanted = None if targets is None else targets[part]
                parts.append(self._optimise(frames[part].to(device), wanted))
                if progress is not None:
                    progress(min(start + size, len(frames)))
        return Attribution.join(parts)

    def _smooth(self, keep: torch.Tensor) -> torch.Tensor:
        return smooth_time(smooth(keep, self.sigma), self.temporal_sigma)

    def _optimise(self, frames: torch.Tensor, target: torch.Tensor | None) -> Attribution:
        with torch.no_grad():
            r = self.cut.head(frames)
            clean = self._logits(r, 1)
        if not torch.isfinite(clean).all():
            raise VibaError("the model's output is not finite; check its weights")
        wanted = check_target(target, clean, len(frames))
        mean, std = self.statistics.mean.to(r), self.statistics.std.to(r).clamp_min(self.min_std)
        if mean.shape != r.shape[1:]:
            raise VibaError(f"statistics have shape {tuple(mean.shape)}, the layer gives "
                            f"{tuple(r.shape[1:])}; estimate them with this model")  # fmt: skip
        active = self.statistics.active.to(r)
        alpha = torch.full_like(r, self.initial_alpha).requires_grad_()
        optimizer = torch.optim.Adam([alpha], lr=self.learning_rate)
        noise = [torch.Generator(r.device).manual_seed(self.seed) for _ in frames]
        history: dict[str, list[torch.Tensor]] = {"model_loss": [], "information_loss": []}
        capacity, logits = torch.zeros_like(r), clean
        for _ in range(self.steps):
            optimizer.zero_grad(set_to_none=True)
            keep = self._smooth(torch.sigmoid(alpha))
            # 1 - lambda without rounding: near 1 the information would lose its gradient.
            rest = self._smooth(torch.sigmoid(-alpha))
            # The tail runs in passes; its gradient is gathered at lambda, then taken further once.
            leaf = keep.detach().requires_grad_()
            logits, loss = self._noisy(r, leaf, mean, std, active, wanted, noise)
            nats = gaussian_kl(r, keep, mean, std, rest) * active
            information = nats.mean((1, 2, 3))
            assert leaf.grad is not None  # _noisy went backward through the tail
            (self.beta * information.sum() + (keep * leaf.grad).sum()).backward()
            optimizer.step()
            capacity = nats.detach() / LN2
            history["model_loss"].append(loss.detach().cpu())
            history["information_loss"].append(information.detach().cpu())
        size = (int(frames.shape[-2]), int(frames.shape[-1]))
        return Attribution(
            capacity.cpu(),
            bits_per_pixel(capacity, size).cpu(),
            logits.cpu(),
            clean.cpu(),
            wanted.cpu(),
            {name: torch.stack(values) for name, values in history.items()},
        )

    def _logits(self, z: torch.Tensor, repeats: int) -> torch.Tensor:
        kind = PRECISIONS[self.precision]
        with torch.autocast(z.device.type, kind or torch.bfloat16, enabled=kind is not None):
            return self.cut.tail(z, repeats).float()

    def _noisy(
        self,
        r: torch.Tensor,
        keep: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
        active: torch.Tensor,
        target: torch.Tensor,
        noise: list[torch.Generator],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and model loss (T,), means over noise samples; the gradient goes to `keep`."""
        samples = self.noise_samples
        logits = torch.zeros(len(r), 0, device=r.device)
        loss = torch.zeros(len(r), device=r.device)
        per_pass = max(1, self.items_per_pass // len(r))
        for start in range(0, samples, per_pass):
            count = min(per_pass, samples - start)
            # One draw per sample: several at once give other numbers where the size of a sample
            # is not a multiple of 16, and a frame's map would depend on its batch.
            draws = [
                torch.randn(r.shape[1:], generator=g, device=r.device)
                for g in noise
                for _ in range(count)
            ]
            epsilon = torch.stack(draws) * std + mean
            lam = keep.repeat_interleave(count, 0)
            z = lam * r.repeat_interleave(count, 0) + (1 - lam) * epsilon  # Eq. (1)
            found = self._logits(z * active, count)
            each = functional.cross_entropy(
                found, target.repeat_interleave(count), reduction="none"
            ).view(len(r), count)
            # Frames are summed, samples averaged: each frame is optimised as if it were alone.
            (each.sum() / samples).backward()
            share = found.detach().view(len(r), count, -1).sum(1) / samples
            logits = share if logits.shape[1] == 0 else logits + share
            loss += each.detach().sum(1) / samples
        return logits, loss
