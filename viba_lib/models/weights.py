"""Load and save weights without running code that a file contains."""

import pickle
import re
import struct
import threading
import warnings
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from viba_lib.bottleneck.statistics import save_tensors
from viba_lib.core.errors import VibaError
from viba_lib.models.formats import Fit, fits, is_average, left_over, tensors_of

# What the readers of PyTorch and safetensors, which check little, raise for a damaged file.
DAMAGED = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, OSError, RuntimeError, EOFError,
    LookupError, ValueError, TypeError, AttributeError, AssertionError, struct.error,
)  # fmt: skip
EXPECTED = "expected named tensors, as safetensors or as `torch.save(model.state_dict(), path)`"
AGAIN = "fetch or save it again"
# First bytes of files that are often taken for weights, what they are, and what to do.
OTHERS = (
    (rb"\Z", "it is empty", AGAIN),
    (rb"version https://git-lfs", "it is a pointer of Git LFS", "run `git lfs pull`"),
    (rb"(\xef\xbb\xbf)?\s*<(?i:!doctype|html|\?xml|head)", "it is a web page",
     "open its address in a browser, and download what that page leads to"),
    (rb"\x89HDF", "it is an HDF5 file, such as of Keras", "convert it"),
    (rb"\x93NUMPY", "it is a NumPy array", "convert it"),
    (rb"\x08.[\x12\x3a]", "it is an ONNX model", "use the weights that it was exported from"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc|Rar!|.{257}ustar", "it is an archive", "unpack it"),
    (rb"[\t-\r -\x7e]+\Z", "it is a text", AGAIN),
)  # fmt: skip


class WeightsError(VibaError):
    """A weights file is missing, unreadable or of another network."""


class _Ignored:
    """Stands for numbers of NumPy and arguments of a training, which are not needed."""

    def __new__(cls, *_given: object) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        pass


IGNORED: list[Any] = [_Ignored] + [
    (_Ignored, name)
    for name in ("argparse.Namespace", "numpy.dtype", "numpy.core.multiarray.scalar",
                 "numpy._core.multiarray.scalar")
]  # fmt: skip
_reading = threading.Lock()  # what PyTorch ignores is the same for all threads


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors or PyTorch file, whatever its suffix, and run nothing.

    Returns
    -------
    Tensors by name; the names of nested dictionaries are joined by dots.

    Raises
    ------
    WeightsError
        The file is missing, cannot be read without running code, or contains no tensors.
    """
    path = Path(path)
    if not path.is_file():
        is_not = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(
            f"weights file {path} {is_not}; expected a safetensors or PyTorch file: check the "
            "path, or leave it out to use the detector that the profile trains"
        )
    content = None
    try:
        with path.open("rb") as file:
            head = file.read(512)
        # Only safetensors have a brace there, after eight bytes that may be any.
        safe = head[8:9] == b"{"
        problem = None if safe else _other_kind(path, head)
        if problem is None:
            content = load_file(path) if safe else _torch_content(path)
    except DAMAGED as error:
        problem = ("it is damaged, cut off, or of an unknown kind", AGAIN)
        if isinstance(error, PermissionError):
            problem = ("it may not be read", "change its permissions")
        # PyTorch refuses anything but tensors and plain containers, and names what it met.
        elif foreign := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"weights file {path} contains more than tensors ({foreign[1]}) and was not "
                f"opened; {EXPECTED}: if you trust it, load it in the code that it comes from, "
                "and save the state dict alone"
            ) from None
    if problem is not None:
        what, remedy = problem
        raise WeightsError(f"weights file {path} cannot be read: {what}; {EXPECTED}: {remedy}")
    if not (found := tensors_of(content)):
        raise WeightsError(f"weights file {path} contains no state dict; {EXPECTED}: {AGAIN}")
    return found


def _other_kind(path: Path, head: bytes) -> tuple[str, str] | None:
    """What a file is that has no weights to read, and what to do; None = it may have some."""
    for start, what, remedy in OTHERS:
        if re.match(start, head, re.DOTALL):
            return what, remedy
    if not head.startswith(b"PK"):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        remedy = "if you trust it, save `torch.jit.load(path).state_dict()`"
        return "it is a TorchScript archive, which contains code", remedy
    if not any(name.endswith("/data.pkl") for name in names):
        return f"it is a zip archive of {_few(names) or 'nothing'}", "name a file of weights"
    return None


def _torch_content(path: Path) -> object:
    with _reading, torch.serialization.safe_globals(IGNORED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to those who call PyTorch themselves
        return torch.load(path, map_location="cpu", weights_only=True)


def starting_from(
    model: nn.Module, weights: str | Path | None, adapt_classifier: bool = False
) -> nn.Module:
    """The model in evaluation mode with the weights of a file, or random ones if there is none.

    `model.weights_source` says which.
    """
    model.weights_source = "random weights"  # type: ignore[assignment]
    if weights is not None:
        load_weights(model, weights, adapt_classifier)
    return model.eval()


def load_weights(model: nn.Module, path: str | Path, adapt_classifier: bool = False) -> nn.Module:
    """Load what is a network's of a file; all its weights must be there.

    Prefixes, other names of the classifier and nested dictionaries are found by matching names and
    shapes, see `formats.fits`. Of several networks that fit, moving averages (`ema` in the prefix)
    are left over. What is left over is named in a warning and in `model.weights_source`.

    Parameters
    ----------
    adapt_classifier : if the file has no classifier, or one for other classes, keep the model's
        own for training

    Raises
    ------
    WeightsError
        Names up to five missing and misshaped keys, or the prefixes of several networks that fit
        and differ.
    """
    given = read_state(path)
    fit = _only(fits(model, given, adapt_classifier), path)
    own, problems = model.state_dict(), dict(fit.problems)
    if not problems:
        # A network without values takes the tensors of the file, in its own precision.
        state = {k: v.to(own[k].dtype) for k, v in fit.state.items()}
        if bad := [k for k, v in state.items() if not (v.is_meta or v.isfinite().all())]:
            problems = {"not finite": bad}
    left = left_over(given, set(fit.names.values()))
    if problems:
        problems |= {"left over": left} if left else {}
        listed = "; ".join(f"{len(keys)} {what} ({_few(keys)})" for what, keys in problems.items())
        raise WeightsError(
            f"weights file {path} does not fit {type(model).__name__}: {listed}; expected weights "
            "of this network: check that the detector and the file belong together. To start "
            "training from a file for other classes, name it as `weights` of the detector in a "
            "profile"
        )
    model.load_state_dict(own | state, assign=any(v.is_meta for v in own.values()))
    notes = [f"left over: {_few(left)}"] if left else []
    if fit.one_logit:
        notes.append("one logit z, of the second class, is taken as [0, z]")
    if notes:
        _warn(f"weights file {path}: {'; '.join(notes)}")
    source = "; ".join([f"file {Path(path).name}", *notes])
    model.weights_source = source  # type: ignore[assignment]
    return model


@lru_cache
def _warn(text: str) -> None:
    """Warn once, although a command opens a network several times."""
    warnings.warn(text, stacklevel=3)


def _only(found: list[Fit], path: str | Path) -> Fit:
    """The part of a file that is taken, of those that fit."""
    first, *others = [fit for fit in found if not is_average(fit.prefix)] or found
    for other in others:
        if not all(torch.equal(first.state[k], other.state[k]) for k in first.names):
            raise WeightsError(
                f"weights file {path} contains several networks that fit: those below "
                f"{_few([repr(fit.prefix) for fit in (first, *others)])}; expected one: save the "
                "state dict of one alone"
            )
    return first


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")


def save_weights(model: nn.Module, path: str | Path) -> Path:
    """Save a model's state as safetensors, atomically."""
    return save_tensors(model.state_dict(), path)
