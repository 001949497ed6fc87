"""The readout bottleneck: a small network predicts lambda from later layers, in one pass."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.information import LN2, Attribution, bits_per_pixel, gaussian_kl, smooth
from viba_lib.bottleneck.per_sample import check_frames, check_target
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.tail import CutModel, find_layer, frozen
from viba_lib.errors import VibaError


class ReadoutNetwork(nn.Module):
    """Three 1x1 convolutions, in -> in / 2 -> 2 out -> out (Schulz et al. 2020, Fig. 3).

    The last starts at alpha = 5, where everything passes.
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
    readout_layers : later layers that are read, normalised and resized to the layer's size
    beta, learning_rate, sigma, min_std, seed : the reference's values

    Raises
    ------
    VibaError
        Unknown layers, or statistics of another layer.
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
    ) -> None:
        self.cut = CutModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        self.model, self.layer, self.statistics = model, layer, statistics
        self.readout_layers = tuple(readout_layers)
        self.readouts = {name: find_layer(model, name) for name in self.readout_layers}
        self.beta, self.learning_rate, self.sigma = beta, learning_rate, sigma
        self.min_std, self.seed = min_std, seed
        self.network: ReadoutNetwork | None = None
        self._scales: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def _read(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Activation, clean logits and raw readouts at the layer's size, joined over channels."""
        kept: dict[str, torch.Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
                kept[name] = output.detach().clone()

            return hook

        handles = [m.register_forward_hook(keep(n)) for n, m in self.readouts.items()]
        try:
            with torch.no_grad():
                r = self.cut.head(frames)
                clean = self.model(frames).float()
        finally:
            for handle in handles:
                handle.remove()
        size = r.shape[-2:]
        wide = [
            functional.interpolate(kept[n].float(), size=size, mode="bilinear", align_corners=False)
            for n in self.readout_layers
        ]
        return r, clean, torch.cat(wide, 1)

    def _keep(self, readouts: torch.Tensor) -> torch.Tensor:
        if self.network is None:
            raise VibaError("the readout bottleneck is not trained; call fit or load first")
        mean, std = self._scales["readouts"]
        alpha = self.network((readouts - mean) / std)
        return smooth(torch.sigmoid(alpha), self.sigma)

    def _build(self, readouts: torch.Tensor, channels: int) -> None:
        mean = readouts.mean((0, 2, 3), keepdim=True)
        std = readouts.std((0, 2, 3), keepdim=True).clamp_min(self.min_std)
        self._scales["readouts"] = (mean, std)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.network = ReadoutNetwork(readouts.shape[1], channels).to(readouts.device)

    def fit(
        self,
        batches: Iterable[torch.Tensor],
        epochs: int = 10,
        progress: Callable[[int, float], None] | None = None,
    ) -> list[float]:
        """Train on batches (B, 3, H, W) for the classes that the model predicts.

        What is read from the frozen model is read once and kept for all epochs.

        Returns
        -------
        Mean loss per epoch, in nats.
        """
        device = next(self.model.parameters()).device
        generator = torch.Generator(device).manual_seed(self.seed)
        losses = []
        with frozen(self.model):
            frames = [batch.to(device) for batch in batches]
            for batch in frames:
                check_frames(batch, self.statistics)
            read = [self._read(batch) for batch in frames]
            self._build(torch.cat([x[2] for x in read]), read[0][0].shape[1])
            assert self.network is not None
            optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
            for epoch in range(epochs):
                total = 0.0
                for batch, (_, clean, readouts) in zip(frames, read, strict=True):
                    # The cut model keeps the values that cross the layer: read them afresh.
                    with torch.no_grad():
                        r = self.cut.head(batch)
                    keep = self._keep(readouts)
                    logits, nats = self._inject(r, keep, generator)
                    loss = functional.cross_entropy(logits, clean.argmax(1))
                    loss = loss + self.beta * nats.mean()
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    total += float(loss.detach())
                losses.append(total / len(frames))
                if progress is not None:
                    progress(epoch + 1, losses[-1])
        return losses

    def _inject(
        self, r: torch.Tensor, keep: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.statistics.mean.to(r)
        std = self.statistics.std.to(r).clamp_min(self.min_std)
        active = self.statistics.active.to(r)
        noise = torch.randn(r.shape, generator=generator, device=r.device) * std + mean
        logits = self.cut.tail((keep * r + (1 - keep) * noise) * active).float()
        return logits, gaussian_kl(r, keep, mean, std) * active

    def attribute(self, frames: torch.Tensor, target: torch.Tensor | None = None) -> Attribution:
        """Maps of frames (T, 3, H, W), one pass each; `target` is only reported."""
        check_frames(frames, self.statistics)
        device = next(self.model.parameters()).device
        generator = torch.Generator(device).manual_seed(self.seed)
        parts = []
        with frozen(self.model), torch.no_grad():
            for batch in frames.to(device).split(16):
                r, clean, readouts = self._read(batch)
                logits, nats = self._inject(r, self._keep(readouts), generator)
                capacity = nats / LN2
                size = (int(batch.shape[-2]), int(batch.shape[-1]))
                parts.append(
                    Attribution(
                        capacity.cpu(),
                        bits_per_pixel(capacity, size).cpu(),
                        logits.cpu(),
                        clean.cpu(),
                        check_target(None, clean, len(batch)).cpu(),
                    )
                )
        joined = Attribution.join(parts)
        if target is not None:
            joined.target = check_target(target, joined.logits_clean, len(frames))
        return joined

    def save(self, path: str | Path) -> Path:
        """Write the trained network and the scales of its readouts as safetensors."""

        if self.network is None:
            raise VibaError("the readout bottleneck is not trained; call fit before save")
        mean, std = self._scales["readouts"]
        save_file(self.network.state_dict() | {"mean": mean, "std": std}, path)
        return Path(path)

    def load(self, path: str | Path) -> "ReadoutBottleneck":
        """Read what `save` wrote; raises VibaError where it does not fit the layers."""

        state = load_file(path)
        scales = state.pop("mean"), state.pop("std")
        channels = self.statistics.mean.shape[0]
        network = ReadoutNetwork(scales[0].shape[1], channels)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise VibaError(f"{path} does not fit layer {self.layer!r}: {error}") from error
        device = next(self.model.parameters()).device
        self.network = network.to(device)
        self._scales["readouts"] = (scales[0].to(device), scales[1].to(device))
        return self
