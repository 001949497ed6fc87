"""Training of both detectors: progress, best weights kept, resumption after a kill."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from viba_lib.core.files import atomic_write
from viba_lib.core.progress import TimeLeft
from viba_lib.models.weights import read_state

Progress = Callable[[str], None]


class TrainingSettings(BaseModel):
    """Budget in steps or epochs, never in seconds, so that results do not depend on the machine.

    `epochs` pass over the training frames, with a validation after each; `steps` are batches of
    real and fake frames in equal number, drawn at random, with a validation after every
    `validate_every`. `patience` counts validations without a lower validation loss. The paper's
    Appendix A is `epochs` 50, batches of 16, `optimizer` adam without decay, `schedule` constant
    at 0.001 without warm-up or `clip` (largest norm of the gradient), and patience 7.
    The first `window_steps` batches are windows of half the side about the artefact, which cost a
    quarter, cut from inputs at their full scale.
    `keep` says which weights stay: those with the lowest validation loss, or the last ones, which
    is the better choice for a short schedule and a validation split of one person; `patience` has
    then no say.
    """

    model_config = ConfigDict(extra="forbid")
    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: float | None = Field(5.0, gt=0)
    batch_size: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warmup: int = 10
    validate_every: int = 50
    patience: int = 7
    freeze_batchnorm: bool = True
    precision: str = "bfloat16"
    fresh: float = 0.7
    window_steps: int = Field(0, ge=0)
    label_smoothing: float = 0.0
    keep: Literal["best", "last"] = "best"

    def spent(self, stale: int) -> bool:
        """Whether so many validations without a lower loss end the training."""
        return self.keep == "best" and stale >= self.patience

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainingSettings":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("expected either steps or epochs")
        return self


def autocast(device: str | torch.device, precision: str) -> torch.autocast:
    """Autocast to bfloat16, or a no-op for "float32"."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16")


def predict(
    model: nn.Module,
    inputs: torch.Tensor,
    device: str = "cpu",
    precision: str = "float32",
    batch_size: int = 16,
) -> np.ndarray:
    """Class probabilities.

    Parameters
    ----------
    inputs : (T, 3, S, S)

    Returns
    -------
    (T, classes) float32, rows sum to 1.
    """
    model.eval()
    rows = []
    with torch.inference_mode(), autocast(device, precision):
        for batch in inputs.split(batch_size):
            batch = batch.to(device, memory_format=torch.channels_last)
            rows.append(model(batch).float().softmax(1).cpu())
    return torch.cat(rows).numpy() if rows else np.zeros((0, 2), np.float32)


def train(
    model: nn.Module,
    batches: Dataset,
    validation: tuple[torch.Tensor, np.ndarray],
    settings: TrainingSettings,
    folder: Path,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> pd.DataFrame:
    """Train a detector in place and leave the weights in it that `settings.keep` asks for.

    A checkpoint in `folder` is written at each validation; a second call goes on from there with
    the same batches, so that a killed run ends with the weights of an undisturbed one.

    Parameters
    ----------
    batches : data set whose item `step` is a batch (inputs, labels); as long as the training, and
        for a budget in epochs with `per_epoch`, the number of batches in one
    validation : inputs (N, 3, S, S) and labels (N,)

    Returns
    -------
    One row per validation: step, loss (mean since the last), val_loss, val_auc, val_accuracy.
    """
    torch.manual_seed(seed)
    model.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(model, settings)
    total = len(batches)  # type: ignore[arg-type]
    every = getattr(batches, "per_epoch", settings.validate_every)
    state: dict[str, Any] = {"step": 0, "best": float("inf"), "stale": 0, "history": []}
    checkpoint = folder / "checkpoint.pt"
    saved = _resumable(folder, settings, progress)
    if saved is not None:
        model.load_state_dict(saved.pop("model"))
        optimizer.load_state_dict(saved.pop("optimizer"))
        state = saved
        progress(f"resumed at step {state['step']}")
    left = TimeLeft(total, state["step"])
    losses: list[float] = []
    if settings.spent(state["stale"]):
        total = state["step"]  # it had stopped early already
    for step, (inputs, labels) in _remaining(batches, state["step"], total):
        torch.manual_seed(seed * 1_000_003 + step)  # dropout is a function of the step as well
        rate = learning_rate(step, total, settings)
        losses.append(_step(model, optimizer, inputs, labels, rate, settings, device))
        done = step + 1
        if done % every == 0 or done == total:
            row = {"step": done, "loss": float(np.mean(losses))}
            row |= validate(model, *validation, device=device, precision=settings.precision)
            losses = []
            state["history"].append(row)
            progress(
                f"step {left(done)}  loss {row['loss']:.3f}  "
                f"validation {row['val_loss']:.3f}  AUC {row['val_auc']:.3f}"
            )
            better = row["val_loss"] < state["best"]
            state |= {
                "step": done,
                "best": min(row["val_loss"], state["best"]),
                "stale": 0 if better else state["stale"] + 1,
            }
            if better:
                _write(model.state_dict(), folder / "best.pt")
            _write(
                state | {"model": model.state_dict(), "optimizer": optimizer.state_dict()},
                checkpoint,
            )
            if settings.spent(state["stale"]):
                progress(f"stopped early: {settings.patience} validations without a lower loss")
                break
    if settings.keep == "best":
        model.load_state_dict(read_state(folder / "best.pt"))
    model.eval()
    return pd.DataFrame(state["history"])


def _resumable(
    folder: Path, settings: TrainingSettings, progress: Progress
) -> dict[str, Any] | None:
    """A checkpoint to go on from; None where there is none, or it was cut off."""
    try:
        saved = read_state_file(folder / "checkpoint.pt")
        if settings.keep == "best" and np.isfinite(saved["best"]):
            read_state(folder / "best.pt")
    except FileNotFoundError:
        return None
    except Exception as error:
        # A machine that lost power may leave a file without its content, in many ways.
        progress(f"the checkpoint cannot be read ({type(error).__name__}); training starts anew")
        return None
    return saved


def read_state_file(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors, numbers and plain containers only."""
    return torch.load(path, map_location="cpu", weights_only=True)


def _write(content: Any, path: Path) -> None:
    with atomic_write(path) as tmp:
        torch.save(content, tmp)


def _remaining(batches: Dataset, start: int, stop: int) -> Any:
    # One worker makes the next batches while this process computes. It is spawned: a fork would
    # copy the locks of OpenCV's threads as they stand, and could wait for them for ever.
    loader = DataLoader(
        Subset(batches, range(start, stop)),
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    return zip(range(start, stop), loader, strict=True)


def _optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    make = kinds[settings.optimizer]
    return make(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Learning rate of a step: a linear warm-up, then constant or a cosine to zero."""
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / total))
    return rate


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    rate: float,
    settings: TrainingSettings,
    device: str,
) -> float:
    model.train()
    if settings.freeze_batchnorm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    inputs = inputs.to(device, memory_format=torch.channels_last)
    with autocast(device, settings.precision):
        logits = model(inputs)
    loss = nn.functional.cross_entropy(
        logits.float(), labels.to(device), label_smoothing=settings.label_smoothing
    )
    loss.backward()
    if settings.clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return float(loss.detach())


def validate(
    model: nn.Module,
    inputs: torch.Tensor,
    labels: np.ndarray,
    device: str = "cpu",
    precision: str = "float32",
) -> dict[str, float]:
    """Validation loss, AUC (NaN where only one class is there) and accuracy."""
    probabilities = predict(model, inputs, device, precision).astype(np.float64)
    chosen = np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1)
    both = len(np.unique(labels)) == 2
    return {
        "val_loss": float(-np.log(chosen).mean()),
        "val_auc": float(roc_auc_score(labels, probabilities[:, 1])) if both else float("nan"),
        "val_accuracy": float((probabilities.argmax(1) == labels).mean()),
    }
