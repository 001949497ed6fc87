"""Information-bottleneck attribution for video (VIBA)."""

__version__ = "0.1.0"
