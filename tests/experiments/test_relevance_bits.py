"""The sentence on total bits of frames called real and fake."""

import numpy as np
import pandas as pd

from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.relevance_videos import bits_text


def explained(p_fake, bits) -> pd.DataFrame:
    """Two frames of each clip, in turn."""
    videos = [f"v{i // 2}" for i in range(len(p_fake))]
    return pd.DataFrame({"video_id": videos, "p_fake": p_fake, "total_bits": bits})


def units(count: int) -> pd.DataFrame:
    names = [f"v{i}" for i in range(count)]
    return pd.DataFrame({"clip": names, "person": names}, index=names)


def test_pairs_of_a_clip_are_compared():
    bits = np.tile([1000.0, 3000.0], 8) + np.arange(16)
    frames = {"a": explained(np.tile([0.1, 0.8], 8) + np.arange(16) / 100, bits)}
    text = bits_text(frames, Bootstrap(200, 0, units(8)))
    assert "a, total bits, frames called fake minus frames called real: 2,001" in text
    assert "higher for frames called fake" in text and "Over the 8 frames called fake" in text
    assert "is 1.00." in text


def test_without_frames_called_real_nothing_is_compared():
    text = bits_text({"a": explained([0.9] * 4, [5.0] * 4)}, Bootstrap(50, 0, units(2)))
    assert text.endswith("not computed, because no source clip has both.")
