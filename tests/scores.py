"""Scores of methods with known means, which tests of ranks share."""

import numpy as np
import pandas as pd


def scores_of(means: dict[str, float], videos: int = 12, spread: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"method": name, "video_id": str(video), "ratio": mean + spread * rng.random()}
        for name, mean in means.items()
        for video in range(videos)
    ]
    return pd.DataFrame(rows)
