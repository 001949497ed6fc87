"""Files that are whole or absent."""

from pathlib import Path


def write_text(path: str | Path, text: str) -> Path:
    """Write text aside, in the same folder, and rename it; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path
