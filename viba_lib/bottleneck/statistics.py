"""Mean, standard deviation and active units of a layer, in one pass."""

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from viba_lib.bottleneck.split import SplitModel, device_of, frozen
from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write

MIN_INPUTS = 1000


def save_tensors(
    tensors: dict[str, torch.Tensor], path: str | Path, meta: dict[str, str] | None = None
) -> Path:
    """Write tensors as safetensors, atomically."""
    with atomic_write(path) as tmp:
        save_file({k: v.contiguous() for k, v in tensors.items()}, tmp, meta)
    return Path(path)


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
        batches: Iterable[torch.Tensor],
        threshold: float = 0.01,
    ) -> "LayerStatistics":
        """Estimate over batches, merged pairwise (Chan et al. 1983), in float64.

        Parameters
        ----------
        batches : frames (B, 3, H, W) or clips (B, 3, T, H, W), all of one size
        threshold : smallest standard deviation of an active unit

        Raises
        ------
        VibaError
            Unknown layer, no batches, batches of other axes or of different sizes, or values that
            are not finite.
        """
        split = SplitModel(model, layer)
        device = device_of(model)
        count, mean, squares = 0, torch.zeros(()), torch.zeros(())
        size: tuple[int, ...] = ()
        with frozen(model), torch.no_grad():
            for batch in batches:
                if batch.dim() not in (4, 5):
                    raise VibaError(
                        f"a batch has shape {tuple(batch.shape)}; expected frames (B, 3, H, W) or "
                        "clips (B, 3, T, H, W)"
                    )
                if count and tuple(batch.shape[2:]) != size:
                    raise VibaError(
                        f"batches of {size} and {tuple(batch.shape[2:])}; need one size"
                    )
                size = tuple(batch.shape[2:])
                values = split.head(batch.to(device))[0].double().cpu()
                new, batch_mean = len(values), values.mean(0)
                total, delta = count + new, batch_mean - mean
                squares = squares + ((values - batch_mean) ** 2).sum(0)
                squares = squares + delta**2 * (count * new / total)
                mean = mean + delta * (new / total)
                count = total
        if not count:
            raise VibaError(f"no batches to estimate layer {layer!r} from; expected at least one")
        if not torch.isfinite(mean).all():
            raise VibaError(f"layer {layer!r} gives values that are not finite; check the weights")
        if count < MIN_INPUTS:
            warnings.warn(
                f"statistics of {layer!r} from {count} inputs; more than {MIN_INPUTS} are advised",
                stacklevel=2,
            )
        # The reference divides by n - 1; one input alone has no variance.
        std = (squares / max(1, count - 1)).sqrt()
        return cls(layer, mean.float(), std.float(), std > threshold, count, size)

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
        try:
            with safe_open(path, "pt") as stored:
                meta = json.loads(stored.metadata()["viba"])
                tensors = {name: stored.get_tensor(name) for name in ("mean", "std", "active")}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise VibaError(
                f"{path} is not a file of layer statistics ({error}); write one with .save(path)"
            ) from error
        return cls(
            meta["layer"],
            tensors["mean"],
            tensors["std"],
            tensors["active"].bool(),
            int(meta["count"]),
            tuple(int(side) for side in meta["input_size"]),
        )
