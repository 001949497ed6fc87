"""The bottleneck and all compared methods, by name and with one signature."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from viba_lib.baselines.budget import Passes, bottleneck_passes, within
from viba_lib.baselines.common import Target, classes_of
from viba_lib.baselines.methods import METHODS, attribute
from viba_lib.baselines.names import VIBA
from viba_lib.baselines.patch_head import PatchHead
from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.forward import Forward
from viba_lib.core.errors import VibaError

NAMES = (VIBA, *METHODS)


@dataclass(frozen=True)
class Network:
    """A detector with what the methods need of it.

    Parameters
    ----------
    layers : names of the layers that maps may come from, the default first
    statistics : of each layer that the bottleneck is put into
    settings : of the bottleneck
    forward : the model for methods that need its logits alone; None = the model itself
    heads : gives the patch head of a layer; None = the patch head cannot be used
    equal : whether the bottleneck has the budget of the other methods, see `budget.within`;
        otherwise its settings stay as they are
    """

    model: nn.Module
    layers: tuple[str, ...]
    statistics: dict[str, LayerStatistics]
    settings: dict[str, Any]
    forward: Forward | None = None
    heads: Callable[[str], PatchHead] | None = None
    equal: bool = False
    _bottlenecks: dict[str, PerSampleBottleneck] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def bottleneck(self, layer: str, seed: int, passes: int) -> PerSampleBottleneck:
        """The bottleneck at a layer; it is cut out of the network once."""
        if layer not in self.statistics:
            raise VibaError(f"no statistics of {layer!r}; there are {list(self.statistics)}")
        if layer not in self._bottlenecks:
            self._bottlenecks[layer] = PerSampleBottleneck(
                self.model, layer, self.statistics[layer]
            )
        settings = within(self.settings, passes) if self.equal else self.settings
        return self._bottlenecks[layer].varied(**settings | {"seed": seed})

    def model_of(self, name: str) -> nn.Module:
        """The model that a method is given; gradients and relevance need the original."""
        alone = name != VIBA and METHODS[name].category == "perturbation"
        return self.forward if alone and self.forward is not None else self.model


def check_names(names: list[str] | tuple[str, ...]) -> list[str]:
    """Names of methods as they are written in NAMES, whatever their case, each once.

    Raises
    ------
    VibaError
        A name that is none of NAMES, or no name at all.
    """
    known = {name.casefold(): name for name in NAMES}
    unknown = [name for name in names if name.strip().casefold() not in known]
    if unknown or not names:
        raise VibaError(
            f"{'methods ' + ', '.join(map(repr, unknown)) if unknown else 'no method'} given; "
            f"expected some of: {', '.join(NAMES)}"
        )
    return list(dict.fromkeys(known[name.strip().casefold()] for name in names))


def option_of(name: str) -> str:
    """The one setting of a method that is tuned, "" for none. The bottleneck's is its layer."""
    return "layer" if name == VIBA else METHODS[name].option


def candidates_of(name: str, layers: tuple[str, ...]) -> tuple[Any, ...]:
    """Values of a method's setting, the default first; of a layered method the layers given."""
    return layers if option_of(name) == "layer" else METHODS[name].candidates


def spent(
    name: str, passes: int, side: int, settings: Mapping[str, Any], value: Any = None
) -> Passes:
    """What a method spends on the map of a frame; a prediction of its class is not counted.

    Parameters
    ----------
    name : one of NAMES
    passes : budget in forward-equivalents
    side : of the input, in pixels
    settings : of the bottleneck, which `within` adapts to the budget
    value : of the method's setting; None = its default
    """
    if name == VIBA:
        return bottleneck_passes(within(settings, passes))
    default = METHODS[name].candidates[0] if METHODS[name].candidates else None
    return METHODS[name].cost(passes, side, default if value is None else value)


def budgeted() -> tuple[str, ...]:
    """Methods whose cost depends on the budget, found by their cost of two budgets."""
    return tuple(
        name for name in NAMES if len({spent(name, p, 224, {}).equivalents for p in (32, 128)}) > 1
    )


def explain_with(
    name: str,
    network: Network,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    value: Any = None,
) -> np.ndarray:
    """Maps of frames by a method, the bottleneck among them.

    Parameters
    ----------
    name : one of NAMES
    frames : (T, 3, H, W)
    target : class, or (T,) classes; None = the predicted class of each frame
    passes : budget of a frame in forward-equivalents, for the methods that have one; that of the
        bottleneck is in its settings, unless the network says `equal`
    seed : random seed
    value : of the method's setting, see `option_of`; None = its default

    Returns
    -------
    (T, H, W) float32, not negative. The bottleneck's are in bits per pixel; units of others differ.

    Raises
    ------
    VibaError
        Unknown method, a layer without statistics, a budget below 8.
    """
    check_names([name])
    option = option_of(name)
    layer = str(value) if option == "layer" and value is not None else network.layers[0]
    classes = classes_of(network.model, frames, target)
    if name == VIBA:
        found = network.bottleneck(layer, seed, passes).attribute(frames, classes)
        return found.bits_per_pixel.float().cpu().numpy()
    setting = {option: value} if option not in ("", "layer") and value is not None else {}
    model = network.model_of(name)
    trained = METHODS[name].category == "trained"
    head = network.heads(layer) if trained and network.heads else None
    return attribute(name, model, layer, frames, classes, passes, seed, head, **setting)
