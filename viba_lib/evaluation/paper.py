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
