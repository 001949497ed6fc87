"""Settings of the per-sample bottleneck, declared once for the library, presets and profiles."""

import reprlib
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from viba_lib.core.errors import VibaError

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
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
    precision : of the layers after the bottleneck: "float32", "bfloat16" or "float16"
    temporal_sigma : Gaussian smoothing of lambda along consecutive frames, in frames; 0 = each
        frame alone, as in the paper. Otherwise all frames of a call form one batch.
    temporal_weight : weight of a penalty on changes of lambda from frame to frame; couples the
        frames of a call as well
    antithetic : sample noise in pairs of opposite sign, so that errors of first order cancel
    warm_start : each frame starts from the result of the previous frame, one after another
    """

    beta: NonNegativeFloat = 10.0
    steps: PositiveInt = 10
    learning_rate: PositiveFloat = 1.0
    noise_samples: PositiveInt = 10
    sigma: NonNegativeFloat = 1.0
    min_std: PositiveFloat = 0.01
    initial_alpha: float = 5.0
    precision: Precision = "float32"
    temporal_sigma: NonNegativeFloat = 0.0
    temporal_weight: NonNegativeFloat = 0.0
    antithetic: bool = False
    warm_start: bool = False

    @model_validator(mode="after")
    def _compatible(self) -> "BottleneckSettings":
        if self.coupled and self.warm_start:
            raise ValueError(
                "warm_start takes frames one after another, a temporal coupling takes them "
                "together; choose one of them"
            )
        return self

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
        try:
            return cls(**values)
        except ValidationError as error:
            raise VibaError(f"settings of the bottleneck: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first problem in one line: which setting, what was expected, what was given."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {message}, got {reprlib.repr(first['input'])}" if where else message


# A preset also applies on top of a profile, so it names all that any of them changes.
_DEFAULT = {
    name: getattr(BottleneckSettings(), name)
    for name in ("steps", "noise_samples", "antithetic", "precision")
}
_ACCURATE = {"steps": 40, "noise_samples": 2, "antithetic": True, "precision": "bfloat16"}
PRESETS: dict[str, dict[str, Any]] = {
    "default": _DEFAULT,
    "fast": _DEFAULT | {"noise_samples": 1, "precision": "bfloat16"},
    "accurate": _ACCURATE,
}
