"""Measures of detection, of maps' temporal consistency, and of their agreement with a truth."""

from viba_lib.evaluation.agreement import overlap_coefficient
from viba_lib.evaluation.consistency import iou, mean_iou, region_persistence, temporal_consistency
from viba_lib.evaluation.detection import expected_calibration_error

__all__ = [
    "expected_calibration_error",
    "iou",
    "mean_iou",
    "overlap_coefficient",
    "region_persistence",
    "temporal_consistency",
]
