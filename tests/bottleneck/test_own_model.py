"""The examples of the page on own models run as they are printed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "book" / "own_model.md"
BLOCKS = re.findall(r"^```python\n(?=import)(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_there_is_an_example_of_each_kind():
    for number, network in enumerate(("resnet18", "r3d_18", "CnnLstm", "vit_tiny")):
        assert network in BLOCKS[number]


@pytest.mark.filterwarnings("ignore:statistics of")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("model = ")[1][:12])
def test_examples_print_what_they_say(block, capsys):
    names = {}
    exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    said = re.search(r"print\(attribution\.bits_per_pixel\.shape\)  # \(([\d, ]+)\)", block)
    assert printed[0] == f"torch.Size([{said[1]}])"
    attribution = names["attribution"]
    bits = attribution.bits_per_pixel.unflatten(0, (len(attribution.target), -1)).sum((1, 2, 3))
    assert attribution.bits_per_pixel.isfinite().all()
    assert (bits > 0).all()
    if "prefix_bits" in block:
        assert attribution.prefix_bits.shape == (2,)
        bits = bits + attribution.prefix_bits
    total = attribution.capacity.flatten(1).sum(1)
    assert (bits / total - 1).abs().max() < 1e-3
