"""Settings of the per-sample bottleneck, declared once for the library, presets and profiles."""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

from viba_lib.core.errors import VibaError

try:
    from viba_lib.core.settings import Integer
except ModuleNotFoundError:  # without pydantic, which reads profiles and is not needed for maps
    Integer = int  # type: ignore[misc]

Precision = Literal["auto", "float32", "bfloat16", "float16"]
FROM_0 = (Real, 0.0, "a number of at least 0")
ABOVE_0 = (Real, math.ulp(0.0), "a number above 0")
COUNT = (Integral, 1, "a whole number above 0")


@dataclass(frozen=True)
class BottleneckSettings:
    """What is optimised, and how; the defaults are those of Schulz et al. (2020).

    Parameters
    ----------
    beta : weight of the information loss, which is a mean over units (beta / k in the paper)
    steps, learning_rate : of Adam
    noise_samples : samples of the noise per step
    sigma : Gaussian smoothing of lambda in units of the layer; 0 = none
    min_std : smallest standard deviation of the noise, so that a dead unit gives no NaN
    initial_alpha : start value; lambda = sigmoid(alpha)
    precision : of the layers after the bottleneck: "float32", "bfloat16", "float16", or "auto": the
        faster of the first two on this machine, see `viba_lib.bottleneck.precision`
    temporal_sigma : Gaussian smoothing of lambda along consecutive frames, in frames; 0 = each
        frame alone, as in the paper. Otherwise all frames of a call form one batch.
    temporal_weight : weight of a penalty on changes of lambda from frame to frame; couples the
        frames of a call as well
    antithetic : sample noise in pairs of opposite sign, so that errors of first order cancel
    warm_start : each frame starts from the result of the previous frame, one after another
    information_steps : first steps that follow the information alone, without a pass through the
        layers after the bottleneck: lambda is near 1, where the model loss has almost no gradient.
        Their model loss in the history is that without noise. No effect from a given start
    """

    beta: float = 10.0
    steps: Integer = 10
    learning_rate: float = 1.0
    noise_samples: Integer = 10
    sigma: float = 1.0
    min_std: float = 0.01
    initial_alpha: float = 5.0
    precision: Precision = "float32"
    temporal_sigma: float = 0.0
    temporal_weight: float = 0.0
    antithetic: bool = False
    warm_start: bool = False
    information_steps: Integer = 0

    RANGES: ClassVar[dict[str, Any]] = {
        "beta": FROM_0, "steps": COUNT, "learning_rate": ABOVE_0, "noise_samples": COUNT,
        "sigma": FROM_0, "min_std": ABOVE_0, "initial_alpha": (Real, -math.inf, "a number"),
        "temporal_sigma": FROM_0, "temporal_weight": FROM_0,
        "information_steps": (Integral, 0, "a whole number of at least 0"),
    }  # fmt: skip
    # Where pydantic reads them, in a profile, other names are refused as they are here.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, (kind, lowest, expected) in self.RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, kind) and not isinstance(value, bool)
            if not (number and lowest <= value < math.inf):
                raise ValueError(f"{name}: expected {expected}, got {value!r}")
        if self.precision not in get_args(Precision):
            names = ", ".join(map(repr, get_args(Precision)))
            raise ValueError(f"precision: expected one of {names}, got {self.precision!r}")
        if self.coupled and self.warm_start:
            raise ValueError(
                "warm_start takes frames one after another, a temporal coupling takes them "
                "together; choose one of them"
            )

    @property
    def coupled(self) -> bool:
        """Whether the frames of a call are optimised together."""
        return self.temporal_sigma > 0 or self.temporal_weight > 0

    @classmethod
    def checked(cls, **values: Any) -> "BottleneckSettings":
        """Settings from keywords.

        Raises
        ------
        VibaError
            Unknown names, values out of range, or settings that exclude each other.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise VibaError(
                f"{unknown[0]!r} is not a setting of the bottleneck; expected some of {known}"
            )
        try:
            return cls(**values)
        except ValueError as error:
            raise VibaError(f"settings of the bottleneck: {error}") from error


# A preset also applies on top of a profile, so it names all that any of them changes.
_DEFAULT = {
    name: getattr(BottleneckSettings(), name)
    for name in ("steps", "noise_samples", "antithetic", "precision", "information_steps")
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": _DEFAULT,
    "fast": _DEFAULT
    | {"noise_samples": 1, "antithetic": True, "precision": "auto", "information_steps": 3},
    "accurate": _DEFAULT
    | {"steps": 40, "noise_samples": 2, "antithetic": True, "precision": "auto"},
}
