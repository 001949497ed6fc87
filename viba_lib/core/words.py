"""Words in generated sentences."""


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 person", "3 people"."""
    return f"{count} {one if count == 1 else many or one + 's'}"
