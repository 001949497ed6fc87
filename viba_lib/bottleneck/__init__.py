"""Information-bottleneck attribution of any torch model, at any layer (Schulz et al. 2020)."""

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.information import bits_per_pixel, gaussian_kl
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.per_sample import PerSampleBottleneck
from viba_lib.bottleneck.readout import ReadoutBottleneck
from viba_lib.bottleneck.settings import BottleneckSettings
from viba_lib.bottleneck.statistics import LayerStatistics

__all__ = [
    "Attribution",
    "BottleneckSettings",
    "LayerStatistics",
    "Layout",
    "PerSampleBottleneck",
    "ReadoutBottleneck",
    "bits_per_pixel",
    "gaussian_kl",
]
