"""Settings that are read from files: nothing is converted or left out without a word."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LARGEST = 2**32 - 1  # of a seed; no count is larger, and arrays take none with 20 digits


def _countable(number: int) -> int:
    # Not `le`, which would replace a lower limit that a setting has.
    if number > LARGEST:
        raise ValueError(f"Input should be at most {LARGEST}")
    return number


# 2.0, "2" and True are no whole numbers.
Integer = Annotated[int, Field(strict=True), AfterValidator(_countable)]
Whole = Annotated[Integer, Field(ge=0)]
Count = Annotated[Integer, Field(ge=1)]
Finite = ConfigDict(extra="forbid", allow_inf_nan=False)


class Settings(BaseModel):
    """Settings whose names are all known and whose numbers are finite."""

    model_config = Finite
