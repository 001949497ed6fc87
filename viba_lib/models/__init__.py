"""The two detectors of the paper, their weights and their training."""

from viba_lib.models.flow_vgg import flow_vgg11
from viba_lib.models.weights import load_weights, save_weights
from viba_lib.models.xception import xception

__all__ = ["flow_vgg11", "load_weights", "save_weights", "xception"]
