"""The result of an attribution: information per unit, bits per pixel, predictions and history."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import torch


@dataclass
class Attribution:
    """The result of a bottleneck for a clip.

    capacity (T, C, h, w): information estimate of each unit of the layer, in bits, see
    `gaussian_kl`; bits_per_pixel (T, H, W); logits (T, classes) with the bottleneck injected, mean
    over noise samples; logits_clean (T, classes) without it; target (T,); history: per step and
    frame the model loss and the information loss (steps, T), in nats; lam: lambda of the last step,
    shaped as capacity, if it was requested, otherwise empty; prefix_bits (T,): bits of tokens that
    belong to no location, such as a class token. channel_means (T, C): mean of each channel of the
    layer without a bottleneck, over space, time or tokens; of clips, a row for each. logits_drawn
    (T, draws, classes): with the bottleneck, under fresh samples of the noise; empty without draws.
    """

    capacity: torch.Tensor
    bits_per_pixel: torch.Tensor
    logits: torch.Tensor
    logits_clean: torch.Tensor
    target: torch.Tensor
    history: dict[str, torch.Tensor] = field(default_factory=dict)
    lam: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    prefix_bits: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    channel_means: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    logits_drawn: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    @staticmethod
    def join(parts: Iterable["Attribution"], frames: int) -> "Attribution":
        """Frames of several attributions, one after another, `frames` in all.

        Each part is copied to its position and released at once. A list of all parts would hold
        the capacities twice, and even small tensors that stay alive would fragment the memory that
        the next part's large tensors need.
        """
        joined: dict[str, torch.Tensor] = {}
        history: dict[str, torch.Tensor] = {}
        begin = 0
        for part in parts:
            count = len(part.target)
            if count == frames:
                return part
            for name in (f.name for f in fields(Attribution) if f.name != "history"):
                value = getattr(part, name)
                each = len(value) // count  # several maps for each clip, none if not requested
                if name not in joined:
                    joined[name] = value.new_empty((frames * each, *value.shape[1:]))
                joined[name][begin * each : (begin + count) * each] = value
            for key, rows in part.history.items():
                filled = history.setdefault(key, rows.new_empty((len(rows), frames)))
                filled[:, begin : begin + count] = rows
            begin += count
        return Attribution(**joined, history=history)
