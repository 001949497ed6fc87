"""Images of executed chapters, light enough for a page on a phone."""

import base64
import io
from typing import Any

from PIL import Image

IMAGE_BYTES = 700_000  # at most, of an image on a page


def lighter(image: str, max_bytes: int = IMAGE_BYTES) -> str:
    """A PNG in base64, scaled down to `max_bytes`."""
    data = base64.b64decode(image)
    while len(data) > max_bytes:
        opened = Image.open(io.BytesIO(data))
        zoom = min(0.95, (max_bytes / len(data)) ** 0.5)
        size = (max(1, int(opened.width * zoom)), max(1, int(opened.height * zoom)))
        buffer = io.BytesIO()
        opened.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
        data = buffer.getvalue()
    return base64.b64encode(data).decode()


def make_lighter(notebook: Any) -> None:
    """Scale down the heavy images of a notebook, in it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = lighter(output.data["image/png"])
