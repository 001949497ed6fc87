"""Training of a detector, which a killed process can resume."""

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from viba_lib.bottleneck.classifier import as_inputs, class_logits
from viba_lib.bottleneck.precision import autocast, choose
from viba_lib.bottleneck.settings import Precision
from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write
from viba_lib.core.progress import Progress, ProgressLines
from viba_lib.core.settings import Count, Settings, Whole
from viba_lib.models.weights import DAMAGED

STATE = ("step", "best", "stale", "history", "best_weights")  # in a checkpoint, of `_Run`


class TrainingSettings(Settings):
    """Budget in steps or epochs, never in seconds, so that results do not depend on the machine.

    `epochs` pass over the training frames, with a validation after each. `steps` are batches of
    real and fake frames in equal number, sampled at random, with a validation after every
    `validate_every`. `patience` counts validations without a lower validation loss. The paper's
    Appendix A is `epochs` 50, batches of 16, `optimizer` adam without decay, `schedule` constant
    at 0.001 without warm-up or `clip` (largest norm of the gradient), and patience 7.
    `train_from` names the first part of the network, such as "block4", whose weights change: those
    before it keep the values of the start, and need no gradient.
    The first `crop_steps` batches are crops of half the side around the artefact, which cost a
    quarter, cut from inputs at their full scale.
    `restore` says which weights the trained detector has: those with the lowest validation loss, or
    the last ones, which is the better choice for a short schedule and a validation split of one
    person. `patience` then has no effect.
    `calibrate` sets the decision on degraded validation frames, after the training, where a false
    alarm counts as `alarm_cost` missed fakes; see `viba_lib.evaluation.calibration`.
    """

    steps: Count | None = None
    epochs: Count | None = None
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: float | None = Field(5.0, gt=0)
    batch_size: Count = 16
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: Whole = 10
    validate_every: Count = 50
    patience: Whole = 7
    freeze_batchnorm: bool = True
    precision: Precision = "auto"
    fresh: float = Field(0.7, ge=0, le=1)
    crop_steps: Whole = 0
    label_smoothing: float = Field(0.0, ge=0, le=1)
    restore: Literal["best", "last"] = "best"
    calibrate: bool = False
    alarm_cost: float = Field(1.0, gt=0)
    train_from: str | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainingSettings":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("expected either steps or epochs")
        return self


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
    model : the network, or a `Forward` of it, which is faster and has a precision of its own
    inputs : (T, 3, S, S)
    precision : "float32", "bfloat16" or "float16"

    Returns
    -------
    (T, classes) float32, rows sum to 1.
    """
    if len(inputs) == 0:
        return np.zeros((0, 2), np.float32)
    model.eval()

    rows = []
    with torch.inference_mode(), autocast(device, precision):
        for batch in inputs.split(batch_size):
            batch = as_inputs(model, batch).to(device, memory_format=torch.channels_last)
            logits = class_logits(model(batch), len(batch))
            rows.append(logits.float().softmax(1).cpu())
    return torch.cat(rows).numpy()


def train(
    model: nn.Module,
    batches: Dataset,
    validation: tuple[torch.Tensor, np.ndarray],
    settings: TrainingSettings,
    folder: Path,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = lambda _: None,
    workers: int = 1,
) -> pd.DataFrame:
    """Train a detector in place; `settings.restore` says which weights it has at the end.

    A checkpoint in `folder` is written at each validation. A second call resumes from it with the
    same batches, so that a killed run ends with the weights of an undisturbed one.

    Parameters
    ----------
    batches : data set whose item `step` is a batch (inputs, labels); as long as the training, and
        for a budget in epochs with `per_epoch`, the number of batches in one
    validation : inputs (N, 3, S, S) and labels (N,)
    workers : processes that make the next batches meanwhile; 0 = this one makes them

    Returns
    -------
    One row per validation: step, loss (mean since the last), val_loss, val_auc, val_accuracy; the
    attribute `precision` is that of the steps.

    Raises
    ------
    VibaError
        The training diverged: a loss is not finite.
    """
    torch.manual_seed(seed)
    run = _Run(model, settings, folder, device, progress)
    run.choose_precision(validation[0][:2])
    total = len(batches)  # type: ignore[arg-type]
    every = getattr(batches, "per_epoch", None) or settings.validate_every
    lines, losses = ProgressLines(progress, "training", total, run.step), list[float]()
    steps = range(run.step, run.step if run.ended else total)
    for step, (inputs, labels) in zip(steps, _loader(batches, steps, workers), strict=True):
        torch.manual_seed(seed * 1_000_003 + step)  # dropout is a function of the step as well
        rate, done = learning_rate(step, total, settings), step + 1
        losses.append(run.update(inputs, labels, rate))
        _check_finite(losses[-1], done)
        if done % every and done < total:
            continue
        row = {"step": done, "loss": float(np.mean(losses))} | run.validated(*validation)
        _check_finite(row["val_loss"], done)
        losses = []
        progress(
            f"step {lines.left(done)}  loss {row['loss']:.3f}  "
            f"validation {row['val_loss']:.3f}  AUC {row['val_auc']:.3f}"
        )
        run.record(row)
        if run.ended:
            progress(f"stopped early: {settings.patience} validations without a lower loss")
            break
    if settings.restore == "best":
        model.load_state_dict(run.best_weights)
    model.eval()
    history = pd.DataFrame(run.history)
    history.attrs["precision"] = run.precision
    return history


def _keep_before(model: nn.Module, first: str) -> None:
    """Exclude the weights of all parts before one from training."""
    names = [name for name, _ in model.named_children()]
    if first not in names:
        raise VibaError(f"train_from is {first!r}; expected one of {', '.join(names)}")
    for name in names[: names.index(first)]:
        model.get_submodule(name).requires_grad_(False)


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise VibaError(f"training diverged at step {step}: a loss is {loss}; lower learning_rate")


class _Run:
    """The state of a training, with a checkpoint of it in a folder."""

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        folder: Path,
        device: str,
        progress: Progress,
    ) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.precision: str = settings.precision
        model.to(device).to(memory_format=torch.channels_last)
        if settings.train_from is not None:
            _keep_before(model, settings.train_from)
        optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self.optimizer: torch.optim.Optimizer = optimizers[settings.optimizer](
            model.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.checkpoint = folder / "checkpoint.pt"
        self.step, self.best, self.stale = 0, float("inf"), 0
        self.history: list[dict[str, float]] = []
        self.best_weights: dict[str, torch.Tensor] = {}
        saved = self._saved(progress)
        if saved is not None:
            model.load_state_dict(saved.pop("model"))
            self.optimizer.load_state_dict(saved.pop("optimizer"))
            vars(self).update(saved)

    @property
    def ended(self) -> bool:
        """Whether enough validations without a lower loss have ended the training early."""
        return self.settings.restore == "best" and self.stale >= self.settings.patience

    def _saved(self, progress: Progress) -> dict[str, Any] | None:
        """The content of the checkpoint; None if there is none, or it is damaged."""
        try:
            saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            return {name: saved[name] for name in ("model", "optimizer", *STATE)}
        except FileNotFoundError:
            return None
        except DAMAGED as error:
            # A machine that lost power may leave a file without its content, in many ways.
            name = type(error).__name__
            progress(f"the checkpoint cannot be read ({name}); training starts from the beginning")
            return None

    def update(self, inputs: torch.Tensor, labels: torch.Tensor, rate: float) -> float:
        """Update the weights with one batch; its loss before the update."""
        self.model.train()
        if self.settings.freeze_batchnorm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.precision):
            outputs = self.model(inputs.to(self.device, memory_format=torch.channels_last))
        logits = class_logits(outputs, len(inputs))
        smoothing = self.settings.label_smoothing
        loss = nn.functional.cross_entropy(
            logits.float(), labels.to(self.device), label_smoothing=smoothing
        )
        loss.backward()
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        return float(loss.detach())

    def choose_precision(self, inputs: torch.Tensor) -> None:
        """Take the precision of the settings; for "auto", the faster one with these inputs."""
        inputs = inputs.to(self.device, memory_format=torch.channels_last)

        def forward_and_backward(name: str) -> None:
            with autocast(self.device, name):
                self.model(inputs).float().sum().backward()

        self.model.eval()  # so that no batch norm learns from these inputs
        work = f"{type(self.model).__name__} training, {tuple(inputs.shape[1:])}"
        self.precision = choose(self.precision, work, forward_and_backward, self.device)

    def validated(self, inputs: torch.Tensor, labels: np.ndarray) -> dict[str, float]:
        """Validation loss, AUC (NaN for one class, or a loss that is not finite) and accuracy."""
        from sklearn.metrics import roc_auc_score  # it takes a second, and most runs do not train

        found = predict(self.model, inputs, self.device, self.precision).astype(float)
        loss = float(-np.log(np.clip(found[np.arange(len(labels)), labels], 1e-7, 1)).mean())
        defined = len(np.unique(labels)) == 2 and math.isfinite(loss)
        auc = float(roc_auc_score(labels, found[:, 1])) if defined else float("nan")
        accuracy = float((found.argmax(1) == labels).mean())
        return {"val_loss": loss, "val_auc": auc, "val_accuracy": accuracy}

    def record(self, row: dict[str, float]) -> None:
        """Add a validation to the history, and write the checkpoint."""
        better = row["val_loss"] < self.best
        self.step, self.best = int(row["step"]), min(row["val_loss"], self.best)
        self.stale = 0 if better else self.stale + 1
        self.history.append(row)
        if better and self.settings.restore == "best":
            weights = self.model.state_dict()
            self.best_weights = {name: w.detach().cpu().clone() for name, w in weights.items()}
        state = {name: vars(self)[name] for name in STATE}
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        with atomic_write(self.checkpoint) as tmp:
            torch.save(state | parts, tmp)


def _loader(batches: Dataset, steps: range, workers: int) -> DataLoader:
    # Workers are spawned, because a fork would copy the locks of OpenCV's threads in whatever state
    # they are, and could wait for ever.
    return DataLoader(
        Subset(batches, steps),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Learning rate of a step: a linear warm-up, then constant or a cosine to zero."""
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / total))
    return rate
