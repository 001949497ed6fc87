"""The readout bottleneck: a small network predicts lambda from later layers, in one pass."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.classifier import batch_of, class_logits, device_of, with_gradients
from viba_lib.bottleneck.information import LN2, bits_per_pixel, gaussian_kl
from viba_lib.bottleneck.smoothing import smooth
from viba_lib.bottleneck.split import (
    SplitModel,
    Tail,
    TailContext,
    find_layer,
    frozen,
    hooked,
)
from viba_lib.bottleneck.statistics import LayerStatistics, save_tensors
from viba_lib.bottleneck.validate import check_frames
from viba_lib.core.errors import VibaError, needed_package
from viba_lib.core.files import atomic_write

# Of a batch: predicted classes, outputs of the readout layers, activation of the injection layer.
_Recorded = tuple[torch.Tensor, list[torch.Tensor], tuple[torch.Tensor, TailContext]]


class ReadoutNetwork(nn.Module):
    """Three 1x1 convolutions, in -> in / 2 -> 2 out -> out (Schulz et al. 2020, Fig. 3).

    The last one starts at alpha = 5, where nearly all information is transmitted.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_in // 2, 1)
        self.conv2 = nn.Conv2d(channels_in // 2, channels_out * 2, 1)
        self.conv3 = nn.Conv2d(channels_out * 2, channels_out, 1)
        with torch.no_grad():
            self.conv3.weight *= 1e-3
            nn.init.constant_(self.conv3.bias, 5.0)  # type: ignore[arg-type]

    def forward(self, readouts: torch.Tensor) -> torch.Tensor:
        """Readouts (T, in, h, w) to alpha (T, out, h, w), clamped to +-5."""
        hidden = functional.relu(self.conv1(readouts))
        return self.conv3(functional.relu(self.conv2(hidden))).clamp(-5, 5)


class ReadoutBottleneck:
    """Train once on many frames, then one forward pass per frame.

    Parameters
    ----------
    model, layer, statistics : as in `PerSampleBottleneck`
    readout_layers : later layers whose outputs are read, resized to the layer's size and
        normalised channel by channel
    beta, learning_rate, sigma, min_std, seed : the reference's values
    precision : of the layers after the bottleneck: as in `BottleneckSettings`

    Raises
    ------
    VibaError
        Unknown or no readout layers, or statistics of another layer.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        readout_layers: Sequence[str],
        statistics: LayerStatistics,
        beta: float = 10.0,
        learning_rate: float = 1e-5,
        sigma: float = 1.0,
        min_std: float = 0.01,
        seed: int = 0,
        precision: str = "float32",
    ) -> None:
        model = with_gradients(model)
        self.split = SplitModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        if statistics.mean.dim() != 3:
            raise VibaError(
                f"layer {layer!r} gives {tuple(statistics.mean.shape)} per input; the readout "
                "bottleneck expects maps (C, h, w): use PerSampleBottleneck, or another layer"
            )
        self.precision = precision
        self.model, self.layer, self.statistics = model, layer, statistics
        self.readout_layers = tuple(readout_layers)
        if not self.readout_layers:
            raise VibaError("readout_layers is empty; name at least one layer after the injection")
        self.readouts = {name: find_layer(model, name) for name in self.readout_layers}
        self.beta, self.learning_rate, self.sigma = beta, learning_rate, sigma
        self.min_std, self.seed = min_std, seed
        self.network: ReadoutNetwork | None = None
        self._scale = (torch.zeros(()), torch.ones(()))  # mean, std of the readouts by channel

    def _read(self, frames: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Clean logits, and the output of each readout layer at its own size."""
        outputs: dict[str, torch.Tensor] = {}

        def store(name: str, _module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            if not torch.is_tensor(output) or output.dim() != 4 or len(output) != len(frames):
                raise VibaError(
                    f"readout layer {name!r} gives something else than maps (N, C, h, w), a row "
                    "for each input; expected such maps: name another layer"
                )
            outputs[name] = output.detach().clone().float()

        with ExitStack() as hooks, torch.no_grad():
            for name, module in self.readouts.items():
                hooks.enter_context(hooked(module, partial(store, name)))
            clean = class_logits(self.model(frames), len(frames)).float()
        return clean, [outputs[name] for name in self.readout_layers]

    def _wide(self, readouts: list[torch.Tensor]) -> torch.Tensor:
        """Readouts at the layer's size, joined over channels."""
        size = self.statistics.mean.shape[-2:]
        wide = [
            functional.interpolate(r, size=size, mode="bilinear", align_corners=False)
            for r in readouts
        ]
        return torch.cat(wide, 1).to(device_of(self.model))

    def _predict_lam(self, readouts: list[torch.Tensor]) -> torch.Tensor:
        if self.network is None:
            raise VibaError("the readout bottleneck is not trained; call fit or load first")
        mean, std = self._scale
        alpha = self.network((self._wide(readouts) - mean) / std)
        return smooth(torch.sigmoid(alpha), self.sigma)

    def _build(self, read: list[list[torch.Tensor]]) -> None:
        """Scales of the readouts, batch by batch so that memory stays small, and the network."""
        count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for readouts in read:
            wide = self._wide(readouts).cpu().double()  # Apple GPUs have no float64
            count += wide.numel() // wide.shape[1]
            total = total.to(wide) + wide.sum((0, 2, 3), keepdim=True)
            squares = squares.to(wide) + (wide**2).sum((0, 2, 3), keepdim=True)
        mean = total / count
        std = (squares / count - mean**2).clamp_min(0).sqrt().clamp_min(self.min_std)
        device = read[0][0].device
        self._scale = (mean.float().to(device), std.float().to(device))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = ReadoutNetwork(mean.shape[1], self.statistics.mean.shape[0])
        self.network = network.to(device)

    def fit(
        self,
        batches: Iterable[Any],
        epochs: int = 10,
        progress: Callable[[int, float], None] | None = None,
        checkpoint: str | Path | None = None,
    ) -> list[float]:
        """Train on batches (B, 3, H, W) for the classes that the model predicts.

        Parameters
        ----------
        batches : as in `LayerStatistics.estimate`
        progress : called after each epoch with its number and mean loss
        checkpoint : file that is written after each epoch; if it exists, training resumes from it
            and ends with the weights of an uninterrupted run

        What the frozen network gives is computed once and kept for all epochs: the outputs of the
        readout layers in the CPU's memory, at the size of these layers, and the activations of the
        injection layer on the device.

        Returns
        -------
        Mean loss per epoch, in nats.

        Raises
        ------
        VibaError
            No batches, or frames of another size than the statistics.
        """
        device = device_of(self.model)
        generator = torch.Generator(device).manual_seed(self.seed)
        losses = []
        with frozen(self.model):
            given = (batch_of(batch) for batch in batches)
            frames = [check_frames(batch, self.statistics, self.model) for batch in given]
            if not frames:
                raise VibaError(
                    "no batches to fit the readout bottleneck to; expected at least one"
                )
            read = [self._recorded(batch.to(device)) for batch in frames]
            self._build([readouts for _, readouts, _ in read])
            assert self.network is not None
            tail = self._tail(frames[0])
            optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
            if checkpoint is not None and Path(checkpoint).is_file():
                losses = self._resume(Path(checkpoint), optimizer, generator)
            for epoch in range(len(losses), epochs):
                steps = [self._step(batch, tail, optimizer, generator) for batch in read]
                losses.append(sum(steps) / len(frames))
                if checkpoint is not None:
                    self._save_checkpoint(Path(checkpoint), optimizer, generator, losses)
                if progress is not None:
                    progress(epoch + 1, losses[-1])
        return losses

    def _recorded(self, batch: torch.Tensor) -> _Recorded:
        clean, readouts = self._read(batch)
        return clean.argmax(1), [readout.cpu() for readout in readouts], self._head(batch)

    def _step(
        self,
        recorded: _Recorded,
        tail: Tail,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> float:
        """One step on a batch; its loss before the step."""
        target, readouts, activation = recorded
        shape = (len(target), *self.statistics.mean.shape)
        noise = torch.randn(shape, generator=generator, device=target.device)
        logits, nats = self._inject(activation, self._predict_lam(readouts), noise, tail)
        loss = functional.cross_entropy(logits, target) + self.beta * nats.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def _save_checkpoint(
        self,
        path: Path,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        losses: list[float],
    ) -> None:
        assert self.network is not None
        state = {
            "network": self.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "losses": losses,
        }
        with atomic_write(path) as tmp:
            torch.save(state, tmp)

    def _resume(
        self, path: Path, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> list[float]:
        assert self.network is not None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            generator.set_state(state["generator"])
            return list(state["losses"])
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError,
                UnpicklingError) as error:  # fmt: skip
            raise VibaError(
                f"{path} is not a checkpoint of this readout bottleneck "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); remove "
                "it to start again"
            ) from error

    def predict_lam(self, frames: torch.Tensor) -> torch.Tensor:
        """Lambda (T, C, h, w) of frames (T, 3, H, W): a start for the per-sample bottleneck."""
        frames = check_frames(frames, self.statistics, self.model)
        device = device_of(self.model)
        with frozen(self.model), torch.no_grad():
            parts = [self._predict_lam(self._read(b.to(device))[1]).cpu() for b in frames.split(16)]
        return torch.cat(parts)

    def _tail(self, frames: torch.Tensor) -> Tail:
        return self.split.prepare(self.split.choose_precision(self.precision, frames))

    def _head(self, frames: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        with torch.no_grad():
            r, context = self.split.head(frames)
            return r.float(), context

    def _inject(
        self,
        activation: tuple[torch.Tensor, TailContext],
        lam: torch.Tensor,
        noise: torch.Tensor,
        tail: Tail,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits with the bottleneck, and nats per unit."""
        r, context = activation
        mean = self.statistics.mean.to(r)
        std = self.statistics.std.to(r).clamp_min(self.min_std)
        active = self.statistics.active.to(r)
        epsilon = noise * std + mean
        logits = tail((lam * r + (1 - lam) * epsilon) * active, context, 1)  # Eq. (1)
        return logits, gaussian_kl(r, lam, mean, std) * active

    def attribute(self, frames: torch.Tensor) -> Attribution:
        """Maps of frames (T, 3, H, W), one pass each; the target is the predicted class."""
        frames = check_frames(frames, self.statistics, self.model)
        device = device_of(self.model)
        generator = torch.Generator(device).manual_seed(self.seed)
        # The same sample for each frame, so that results do not depend on batches.
        noise = torch.randn(self.statistics.mean.shape, generator=generator, device=device)
        parts = []
        with frozen(self.model), torch.no_grad():
            tail = self._tail(frames)
            for batch in frames.to(device).split(16):
                clean, readouts = self._read(batch)
                lam = self._predict_lam(readouts)
                logits, nats = self._inject(self._head(batch), lam, noise, tail)
                capacity = nats / LN2
                parts.append(
                    Attribution(
                        capacity.cpu(),
                        bits_per_pixel(capacity, tuple(batch.shape[2:])).cpu(),
                        logits.cpu(),
                        clean.cpu(),
                        clean.argmax(1).cpu(),
                    )
                )
        return Attribution.join(parts, len(frames))

    def save(self, path: str | Path) -> Path:
        """Write the trained network and the scales of its readouts as safetensors."""
        if self.network is None:
            raise VibaError("the readout bottleneck is not trained; call fit before save")
        mean, std = self._scale
        return save_tensors(self.network.state_dict() | {"mean": mean, "std": std}, path)

    def load(self, path: str | Path) -> "ReadoutBottleneck":
        """Read what `save` wrote; raises VibaError if it is missing or fits other layers."""
        with needed_package():
            from safetensors import SafetensorError
            from safetensors.torch import load_file

        channels = self.statistics.mean.shape[0]
        try:
            state = load_file(path)
            scales = state.pop("mean"), state.pop("std")
            network = ReadoutNetwork(scales[0].shape[1], channels)
        except (OSError, SafetensorError, KeyError, IndexError) as error:
            raise VibaError(
                f"{path} is not a readout bottleneck ({error}); write one with .save(path)"
            ) from error
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise VibaError(f"{path} does not fit layer {self.layer!r}: {error}") from error
        device = device_of(self.model)
        self.network = network.to(device)
        self._scale = (scales[0].to(device), scales[1].to(device))
        return self
