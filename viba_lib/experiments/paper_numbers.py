"""Numbers that the paper prints, to stand beside a run's own (Solopova et al. 2024)."""

import pandas as pd

from viba_lib.data.sampling import PAPER_COUNTS

NAMES = {
    "faceforensics": "FaceForensics++", "celebdf": "Celeb-DF", "dfdc": "DFDC", "dfd": "DFD",
    "fakeavceleb": "FakeAVCeleb", "avdeepfake1m": "AV-Deepfake1M", "kodf": "KoDF",
    "youtube": "YouTube videos", "neighbour-wars": 'TV show "Deep Fake Neighbour Wars"',
}  # fmt: skip
TABLE_1 = pd.DataFrame(
    [(NAMES[name], videos) for name, videos in PAPER_COUNTS.items()], columns=["dataset", "videos"]
)
TABLE_2 = pd.DataFrame(
    [("xception", False, 81.51, 77.49, 89.34, 0.1216),
     ("xception", True, 81.47, 77.43, 89.34, 0.1210),
     ("flow-vgg11", False, 79.96, 75.42, 88.95, 0.1244),
     ("flow-vgg11", True, 79.87, 75.31, 88.95, 0.1246)],
    columns=["detector", "bottleneck", "accuracy", "precision", "recall", "ece"],
)  # fmt: skip
TABLE_3 = pd.DataFrame(
    [("xception", "fake", 0.8226, 0.4306, 0.0255),
     ("xception", "real", 0.8320, 0.4086, 0.0250),
     ("flow-vgg11", "fake", 0.7633, 0.8611, 0.0341),
     ("flow-vgg11", "real", 0.8001, 0.8766, 0.0267)],
    columns=["detector", "label", "iou", "tcs", "rpi"],
)  # fmt: skip
TABLE_4 = pd.DataFrame(
    [("xception", 45.42, 40.76, 51.28, 51.92, 62.96),
     ("flow-vgg11", 52.72, 50.00, 55.76, 57.69, 40.74)],
    columns=["detector", "f1", "precision", "recall", "overlap", "top1"],
)  # fmt: skip

# Tables 5 to 7: layer as printed, its name in the live network, type and what is printed of it.
_NORM: dict[str, object] = {"eps": 1e-5, "momentum": 0.1}
Row = tuple[str, str, str, dict[str, object]]
TABLE_5: list[Row] = [
    ("conv1", "conv1", "Conv2d", {"stride": 2, "bias": False}),
    ("bn1", "bn1", "BatchNorm2d", _NORM),
    ("relu", "act1", "ReLU", {"inplace": True}),
    ("conv2", "conv2", "Conv2d", {"stride": 1, "bias": False}),
    ("bn2", "bn2", "BatchNorm2d", _NORM),
    *((f"block{n}", f"block{n}", "Block", {}) for n in range(1, 13)),
    ("conv3", "conv3", "SeparableConv2d", {"groups": 1024, "bias": False}),
    ("bn3", "bn3", "BatchNorm2d", _NORM),
    ("conv4", "conv4", "SeparableConv2d", {"groups": 1536, "bias": False}),
    ("bn4", "bn4", "BatchNorm2d", _NORM),
    ("last_linear", "fc", "Sequential", {"parts": "fully connected, dropout"}),
]
TABLE_6: list[Row] = [
    ("0", "0", "ReLU", {"inplace": True}),
    ("1", "1", "SeparableConv2d", {"bias": False}),
    ("2", "2", "BatchNorm2d", _NORM),
    ("3", "3", "ReLU", {"inplace": True}),
    ("4", "4", "SeparableConv2d", {"bias": False}),
    ("5", "5", "BatchNorm2d", _NORM),
    ("6", "6", "MaxPool2d", {"kernel": 3, "stride": 2, "padding": 1}),
]


def _table_7() -> list[Row]:
    """The rows of Table 7, which follow from the channels of its convolutions."""
    rows: list[Row] = []
    before = 3
    for after, pooled in ((64, True), (128, True), (256, False), (256, True), (512, False),
                          (512, True), (512, False), (512, True)):  # fmt: skip
        part: list[tuple[str, dict[str, object]]] = [
            ("Conv2d", {"in": before, "out": after}),
            ("BatchNorm2d", {"in": after, "out": after, "eps": 1e-5}),
            ("ReLU", {"inplace": True}),
        ]
        part += [("MaxPool2d", {})] * pooled
        for kind, facts in part:
            rows.append((str(len(rows)), f"features.{len(rows)}", kind, facts))
        before = after
    parts: dict[str, object] = {"parts": "fully connected, dropout"}
    return [*rows, ("last_linear", "last_linear", "Sequential", parts)]


TABLE_7 = _table_7()
