"""Settings that are read from files: nothing is converted or left out without a word."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# 2.0, "2" and True are no whole numbers.
Integer = Annotated[int, Field(strict=True)]
Whole = Annotated[Integer, Field(ge=0)]
Count = Annotated[Integer, Field(ge=1)]
Finite = ConfigDict(extra="forbid", allow_inf_nan=False)


class Settings(BaseModel):
    """Settings whose names are all known and whose numbers are finite."""

    model_config = Finite
