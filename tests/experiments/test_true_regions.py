"""The region from the difference, compared with the planted one."""

import pandas as pd
import pytest

from viba_lib.experiments.true_regions import compare_regions, regions_message
from viba_lib.pipeline.study import Study


@pytest.mark.network
def test_regions_of_spatial_fakes_are_found(fetched):
    table = compare_regions(Study("tiny", *fetched), frames=3)
    assert table.groupby("method").encoding.apply(list).map(lambda e: e == ["c23", "c40"]).all()
    assert table.iou.between(0, 1).all() and table.iou.max() > 0.5
    assert str(table.method.nunique()) in regions_message(table)


def test_without_masks_a_sentence_says_so():
    empty = pd.DataFrame(columns=["method", "video_id", "encoding", "iou"])
    assert regions_message(empty).startswith("No fake of this run has a mask")
