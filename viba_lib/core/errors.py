"""The one base class of the errors that tell a user what to do next."""


class VibaError(ValueError):
    """Names the given value, the expected one and the next step, in one sentence or two."""
