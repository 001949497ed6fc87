"""Heavy images are scaled down, others left as they are."""

import base64
import io

import numpy as np
from nbformat import v4
from PIL import Image

from viba_lib.book import images


def png(height, width):
    """Noise (height, width, 4), which compresses badly, as a PNG in base64."""
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 4), dtype=np.uint8)
    room = io.BytesIO()
    Image.fromarray(noise).save(room, "PNG")
    return base64.b64encode(room.getvalue()).decode()


def test_heavy_pictures_are_made_lighter_and_others_left():
    picture = png(200, 300)
    assert images.lighter(picture) == picture
    less = base64.b64decode(images.lighter(picture, 50_000))
    assert len(less) <= 50_000
    image = Image.open(io.BytesIO(less))
    assert image.mode == "RGBA" and abs(image.width / image.height - 1.5) < 0.05


def test_each_image_of_a_notebook_is_made_lighter(monkeypatch):
    monkeypatch.setattr(images.lighter, "__defaults__", (50_000,))
    small, large, text = png(20, 20), png(200, 300), "a table"
    data = [{"image/png": small}, {"image/png": large}, {"text/plain": text}]
    outputs = [v4.new_output("display_data", data=one) for one in data]
    cells = [v4.new_markdown_cell("# One"), v4.new_code_cell("1", outputs=outputs)]
    notebook = v4.new_notebook(cells=cells)
    images.make_lighter(notebook)
    kept, less, table = (o.data for o in notebook.cells[1].outputs)
    assert kept["image/png"] == small and table["text/plain"] == text
    assert len(base64.b64decode(less["image/png"])) <= 50_000 < len(base64.b64decode(large))
