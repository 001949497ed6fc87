"""The one base class of the errors that tell a user what to do next."""


class VibaError(ValueError):
    """What was given, what was expected and what to do next, in one sentence or two."""
