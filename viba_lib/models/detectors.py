"""The registry of detectors: networks, and how prepared clips become their inputs.

A third detector needs no change here: write a function that returns a `Detector` and name it as
`module:function`, see `find_detector`.
"""

import importlib
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from viba_lib.core.cache import digest
from viba_lib.core.code import code_key
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.flow import farneback, flow_to_input, flow_to_rgb, scale_flow
from viba_lib.models.batches import FaceBatches, FlowBatches
from viba_lib.models.flow_vgg import FLOW_LAYERS, flow_vgg11
from viba_lib.models.weights import load_weights
from viba_lib.models.xception import XCEPTION_LAYERS, face_tensor, resized, xception

MODULES = "VIBA_MODULES"  # variable with the folder of a user's modules
Positions = Sequence[int] | None
# Of a frame (S, S, 3) or of consecutive ones (T, S, S, 3).
Change = Callable[[np.ndarray], np.ndarray]


def _chosen(frames: np.ndarray, positions: Positions) -> np.ndarray:
    return frames if positions is None else frames[np.asarray(positions, int)]


def planted_masks(clip: PreparedClip, positions: Positions, size: int) -> np.ndarray:
    """Planted masks (T, size, size) float32 in [0, 1] of a clip, zero for real frames.

    Parameters
    ----------
    positions : of the frames in the clip; None = all
    size : side in pixels
    """
    return resized(_chosen(clip.masks, positions), size).astype(np.float32) / 255


@dataclass(frozen=True)
class Detector:
    """A network that classifies frames as real or fake, and how its inputs are made.

    All callables are functions of a module, so that worker processes can import them.

    Parameters
    ----------
    name : part of file and folder names: letters, digits, `_`, `.` and `-`
    build : () -> network with the logits (real, fake), or one logit of fake; fetches nothing. The
        network is trained already if `start` is None
    layers : dotted names of the injection layers, the default one first
    size : side of the input in pixels, if a profile has no other
    inputs : (clip, positions or None for all, size) -> tensor (T, 3, size, size) float32
    images : the same arguments -> array (T, size, size, 3) uint8, shown below a map
    degrade : (clip, positions, change, size) -> inputs as above, after `change`, a function from
        an image (S, S, 3) uint8 to another, was applied to all images that they are made from
    masks : as `inputs` -> planted masks (T, size, size) float32 in [0, 1]
    start : (weights, data_root) -> network that training starts from, with a text
        `weights_source`; `weights` as a profile gives them
    batches : (clip store, training frames, size, training settings, methods, seed) -> batches for
        `viba_lib.models.training.train`; fakes of `methods` are made for them, none if it is empty
    settings : section of a profile with its settings; "" = none
    temporal : whether it sees the motion between frames
    files : read by `build`, such as trained weights; results follow from their content
    title, input_name : what a page calls the detector and its input

    Raises
    ------
    VibaError
        A name that no file can have, no layers, `start` without `batches`, or a missing file.
    """

    name: str
    build: Callable[[], nn.Module]
    layers: tuple[str, ...]
    size: int
    inputs: Callable[[PreparedClip, Positions, int], torch.Tensor]
    images: Callable[[PreparedClip, Positions, int], np.ndarray]
    degrade: Callable[[PreparedClip, Positions, Change, int], torch.Tensor]
    masks: Callable[[PreparedClip, Positions, int], np.ndarray] = planted_masks
    start: Callable[[str | None, Path], nn.Module] | None = None
    batches: Callable[..., Dataset] | None = None
    settings: str = ""
    temporal: bool = False
    title: str = ""
    input_name: str = "input"
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.name):
            raise VibaError(
                f"detector name {self.name!r} cannot be part of a file name; use letters, digits, "
                "'_', '.' and '-'"
            )
        if isinstance(self.layers, str) or not self.layers:
            raise VibaError(
                f"layers of detector {self.name!r} are {self.layers!r}; give a tuple of dotted "
                "names, the default layer first"
            )
        if (self.start is None) != (self.batches is None):
            raise VibaError(
                f"detector {self.name!r} has only one of `start` and `batches`; training needs "
                "both, and a trained detector neither"
            )
        for file in self.files:
            if not Path(file).is_file():
                raise VibaError(f"file {file} of detector {self.name!r} does not exist")

    @cached_property
    def digest(self) -> str:
        """Hash of name, layers, size, functions and files, for the keys of cached results."""
        functions = [v for f in fields(self) if callable(v := getattr(self, f.name))]
        files = [file_sha256(Path(file)) for file in self.files]
        return digest([self.name, self.layers, self.size, code_key(*functions), files])

    def open(self, weights: Path | None = None, device: str = "cpu") -> nn.Module:
        """The network on a device, in evaluation mode, with the weights of a file if one is given.

        Raises
        ------
        VibaError
            Weights that do not fit.
        """
        model = self.build() if weights is None else self._with_weights(weights)
        return model.to(device).to(memory_format=torch.channels_last).eval()

    def _with_weights(self, weights: Path) -> nn.Module:
        # Built without values first: random numbers for weights that are replaced take seconds.
        try:
            with torch.device("meta"):
                model = self.build()
        except Exception:  # a network that computes with its weights when it is built
            model = self.build()
        load_weights(model, weights)
        tensors = itertools.chain(model.parameters(), model.buffers())
        # Buffers that a file does not contain are left without values.
        return load_weights(self.build(), weights) if any(t.is_meta for t in tensors) else model


def face_inputs(clip: PreparedClip, positions: Positions, size: int) -> torch.Tensor:
    """Face crops (T, 3, size, size) of a clip in [-1, 1]; arguments as in `planted_masks`."""
    return face_tensor(_chosen(clip.faces, positions), size)


def face_images(clip: PreparedClip, positions: Positions, size: int) -> np.ndarray:
    """Face crops (T, size, size, 3) uint8 of a clip; arguments as in `planted_masks`."""
    return resized(_chosen(clip.faces, positions), size)


def degraded_faces(
    clip: PreparedClip, positions: Positions, change: Change, size: int
) -> torch.Tensor:
    """Inputs of `face_inputs` after `change` was applied to each face crop."""
    faces = [change(face) for face in _chosen(clip.faces, positions)]
    return face_tensor(np.stack(faces), size) if faces else torch.zeros(0, 3, size, size)


def flow_fields(clip: PreparedClip, positions: Positions, size: int) -> list[np.ndarray]:
    """Flow fields (size, size, 2) of a clip in pixels of that size, see `planted_masks`."""
    stored = _chosen(clip.flow, positions).astype(np.float32)
    return [scale_flow(flow.transpose(1, 2, 0), size) for flow in stored]


def _flow_tensor(fields: Sequence[np.ndarray], size: int) -> torch.Tensor:
    inputs = [torch.from_numpy(flow_to_input(field)) for field in fields]
    return torch.stack(inputs) if inputs else torch.zeros(0, 3, size, size)


def flow_inputs(clip: PreparedClip, positions: Positions, size: int) -> torch.Tensor:
    """Flow inputs (T, 3, size, size) of a clip, see `viba_lib.data.flow.flow_to_input`."""
    return _flow_tensor(flow_fields(clip, positions, size), size)


def flow_images(clip: PreparedClip, positions: Positions, size: int) -> np.ndarray:
    """Flow in colour (T, size, size, 3) uint8 of a clip; arguments as in `planted_masks`."""
    images = [flow_to_rgb(field) for field in flow_fields(clip, positions, size)]
    return np.stack(images) if images else np.zeros((0, size, size, 3), np.uint8)


def degraded_flow(
    clip: PreparedClip, positions: Positions, change: Change, size: int
) -> torch.Tensor:
    """Inputs of `flow_inputs` after `change` was applied to each pair as to a short video."""
    flows = [farneback(*change(pair)) for pair in _chosen(clip.pairs, positions)]
    return _flow_tensor([scale_flow(flow, size) for flow in flows], size)


def start_xception(weights: str | None, data_root: Path) -> nn.Module:
    """Xception to train: random or ImageNet weights, or those of a file."""
    return xception(weights, data_root=data_root, adapt_classifier=True)


def start_flow_vgg11(weights: str | None, data_root: Path) -> nn.Module:
    """VGG11 to train: random weights, or those of a file."""
    return flow_vgg11(weights, adapt_classifier=True)


XCEPTION = Detector(
    name="xception",
    build=xception,
    layers=XCEPTION_LAYERS,
    size=299,
    inputs=face_inputs,
    images=face_images,
    degrade=degraded_faces,
    start=start_xception,
    batches=FaceBatches,
    settings="xception",
    title="Xception (one face)",
    input_name="face crop",
)
FLOW_VGG11 = Detector(
    name="flow-vgg11",
    build=flow_vgg11,
    layers=FLOW_LAYERS,
    size=256,
    inputs=flow_inputs,
    images=flow_images,
    degrade=degraded_flow,
    start=start_flow_vgg11,
    batches=FlowBatches,
    settings="flow",
    temporal=True,
    title="VGG11 (motion)",
    input_name="optical flow in colour",
)
DETECTORS = {detector.name: detector for detector in (XCEPTION, FLOW_VGG11)}


def find_detector(name: str) -> Detector:
    """A detector by its name in `DETECTORS`, or made by a function named as `module:function`.

    The module is looked for in the current folder as well.

    Raises
    ------
    VibaError
        An unknown name, a module or function that does not exist, or one that returns something
        else.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise VibaError(
            f"detector {name!r} is not known; choose one of {', '.join(DETECTORS)}, or give "
            "module:function, a function that returns a viba_lib.models.detectors.Detector"
        )
    for folder in filter(None, (os.environ.get(MODULES), str(Path.cwd()))):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        make = getattr(importlib.import_module(module), function)
        found = make() if callable(make) else make
    except VibaError:
        raise
    except Exception as error:  # the module is a user's, and can fail in any way
        raise VibaError(
            f"detector {name!r} cannot be imported ({type(error).__name__}: {error}); expected "
            "module:function, with the module in the current folder or installed, and a function "
            "without arguments"
        ) from error
    if not isinstance(found, Detector):
        raise VibaError(
            f"detector {name!r} gives {type(found).__name__}; expected a function that returns a "
            "viba_lib.models.detectors.Detector"
        )
    return found
