"""Mean, standard deviation and active units of a layer, in one pass."""

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from viba_lib.bottleneck.classifier import as_inputs, batch_of, device_of, input_size
from viba_lib.bottleneck.split import SplitModel, frozen, watch
from viba_lib.core.errors import VibaError, needed_package
from viba_lib.core.files import atomic_write

MIN_INPUTS = 1000


def save_tensors(
    tensors: dict[str, torch.Tensor], path: str | Path, meta: dict[str, str] | None = None
) -> Path:
    """Write tensors as safetensors, atomically."""
    with needed_package():
        from safetensors.torch import save_file

    with atomic_write(path) as tmp:
        save_file({k: v.contiguous() for k, v in tensors.items()}, tmp, meta)
    return Path(path)


def channel_means(split: SplitModel, inputs: torch.Tensor) -> torch.Tensor:
    """Mean of each channel of a layer (N, C) float32: over space, time or tokens."""
    with frozen(split.model), torch.no_grad():
        inputs = as_inputs(split.model, inputs).to(device_of(split.model))
        return mean_of_channels(split.head(inputs)[0].float()).cpu()


def mean_of_channels(activation: torch.Tensor) -> torch.Tensor:
    """Mean of each channel (N, C) of activations (N, C, ...), or of tokens (N, L, C)."""
    return activation.mean(1) if activation.dim() == 3 else activation.flatten(2).mean(2)


class _Moments:
    """Mean and squared deviations of values in float64, batch by batch (Chan et al. 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, activation: torch.Tensor) -> None:
        """Add a batch (B, ...)."""
        values = activation.cpu().double()  # Apple GPUs have no float64
        new, mean = len(values), values.mean(0)
        total, delta = self.count + new, mean - self.mean
        self.squares = self.squares + ((values - mean) ** 2).sum(0)
        self.squares = self.squares + delta**2 * (self.count * new / total)
        self.mean = self.mean + delta * (new / total)
        self.count = total

    def statistics(
        self, split: SplitModel, threshold: float, size: tuple[int, ...]
    ) -> "LayerStatistics":
        """What was added, as statistics of a layer; see `LayerStatistics.estimate`."""
        layer = split.layer
        if not self.count:
            raise VibaError(f"no batches to estimate layer {layer!r} from; expected at least one")
        if not torch.isfinite(self.mean).all():
            raise VibaError(f"layer {layer!r} gives values that are not finite; check the weights")
        if self.count < MIN_INPUTS:
            warnings.warn(
                f"statistics of {layer!r} from {self.count} inputs; more than {MIN_INPUTS} are "
                "advised",
                stacklevel=4,
            )
        # The reference divides by n - 1; one input alone has no variance.
        std = (self.squares / max(1, self.count - 1)).sqrt()
        mean, std, active = self.mean.float(), std.float(), std > threshold
        if split.time_first is not None:  # the same for each frame of a clip
            mean, std, active = (u[:, None].repeat(1, size[0], 1, 1) for u in (mean, std, active))
        return LayerStatistics(layer, mean, std, active, self.count, size)


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of a layer's units over inputs.

    mean, std float32 and active bool have the shape of the layer's output for one input, such as
    (C, h, w); active: units whose value varies; count: number of inputs; layer: its name;
    input_size (H, W) or (T, H, W) of the inputs.
    """

    layer: str
    mean: torch.Tensor
    std: torch.Tensor
    active: torch.Tensor
    count: int
    input_size: tuple[int, ...]

    @classmethod
    def estimate(
        cls,
        model: nn.Module,
        layer: str,
        batches: Iterable[Any],
        threshold: float = 0.01,
    ) -> "LayerStatistics":
        """Estimate over batches, in float64.

        Parameters
        ----------
        batches : frames (B, 3, H, W) or clips (B, 3, T, H, W) or (B, T, 3, H, W), all of one size;
            or tuples, lists or dicts with them, as a DataLoader gives them
        threshold : smallest standard deviation of an active unit

        Raises
        ------
        VibaError
            Unknown layer, no batches, batches of other axes or of different sizes, or values that
            are not finite.
        """
        return cls.estimate_all(model, [layer], batches, threshold)[layer]

    @classmethod
    def estimate_all(
        cls,
        model: nn.Module,
        layers: Sequence[str],
        batches: Iterable[Any],
        threshold: float = 0.01,
    ) -> dict[str, "LayerStatistics"]:
        """Statistics of several layers by name, from one pass over the batches; see `estimate`."""
        splits = [SplitModel(model, layer) for layer in layers]
        found = {layer: _Moments() for layer in layers}
        size: tuple[int, ...] = ()
        with frozen(model), torch.no_grad():
            for batch in batches:
                inputs = as_inputs(model, batch_of(batch)).to(device_of(model))
                if size and input_size(inputs) != size:
                    raise VibaError(f"batches of {size} and {input_size(inputs)}; need one size")
                if len(splits) == 1:
                    outputs = {layers[0]: splits[0].head(inputs)[0]}  # stops at the layer
                else:
                    if not size:
                        for split in splits:
                            split.find_order(inputs[:1])
                    runs = watch(splits, inputs)
                    outputs = {s.layer: s.units(runs[s.layer], inputs) for s in splits}
                size = input_size(inputs)
                for split in splits:
                    units = outputs[split.layer]
                    # Each frame of a clip is an input of a layer that sees them one by one.
                    alone = split.time_first is not None
                    found[split.layer].add(units.transpose(1, 2).flatten(0, 1) if alone else units)
        return {s.layer: found[s.layer].statistics(s, threshold, size) for s in splits}

    def save(self, path: str | Path) -> Path:
        """Write as safetensors."""
        meta = {"layer": self.layer, "count": self.count, "input_size": list(self.input_size)}
        tensors = {"mean": self.mean, "std": self.std, "active": self.active.to(torch.uint8)}
        return save_tensors(tensors, path, {"viba": json.dumps(meta)})

    @classmethod
    def load(cls, path: str | Path) -> "LayerStatistics":
        """Read statistics that `save` wrote.

        Raises
        ------
        VibaError
            The file is missing or does not contain statistics.
        """
        with needed_package():
            from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as stored:
                meta = json.loads(stored.metadata()["viba"])
                tensors = {name: stored.get_tensor(name) for name in ("mean", "std", "active")}
            return cls(
                meta["layer"],
                tensors["mean"],
                tensors["std"],
                tensors["active"].bool(),
                int(meta["count"]),
                tuple(int(side) for side in meta["input_size"]),
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise VibaError(
                f"{path} is not a file of layer statistics ({error}); write one with .save(path)"
            ) from error
