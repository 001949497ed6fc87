"""Training: budgets, early stopping, and a killed run that ends like an undisturbed one."""

import io
import os
import shutil
import signal
from functools import partial
from multiprocessing import get_context

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from viba_lib.bottleneck import precision
from viba_lib.core.errors import VibaError
from viba_lib.models import training
from viba_lib.models.training import TrainingSettings, _Run, learning_rate
from viba_lib.pipeline.profiles import load_profile


class Batches(Dataset):
    """Bright and dark images; a batch follows from its step."""

    def __init__(self, steps=8):
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        generator = torch.Generator().manual_seed(step)
        labels = torch.arange(4) % 2
        noise = torch.randn(4, 3, 8, 8, generator=generator)
        return noise + 3 * labels[:, None, None, None], labels


# A worker takes seconds to start.
train = partial(training.train, workers=0)


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip


def settings(**changes):
    made = dict(
        steps=None if "epochs" in changes else 8,
        learning_rate=0.01,
        validate_every=2,
        precision="float32",
        warmup=1,
    )
    return TrainingSettings(**(made | changes))


def held_out():
    inputs, labels = Batches()[99]
    return inputs, labels.numpy()


def run(folder, dies_at=""):
    """Train and keep what comes out; be killed (SIGKILL) where a line of progress begins so."""

    def progress(line):
        if dies_at and line.startswith(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    model = small()
    history = training.train(
        model, Batches(), held_out(), settings(restore="last"), folder, progress=progress
    )
    torch.save(model.state_dict(), folder / "end.pt")
    history.to_parquet(folder / "history.parquet")


def in_a_process(*args):
    # Each in one of its own: the number of threads, which other tests change, rounds differently.
    process = get_context("spawn").Process(target=run, args=args)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.slow
def test_a_killed_training_ends_like_an_undisturbed_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert in_a_process(whole) == 0
    assert in_a_process(killed, "step 6/") == -signal.SIGKILL
    assert not (killed / "end.pt").exists() and (killed / "checkpoint.pt").exists()
    assert in_a_process(killed, "step 2/") == 0  # it does not come by there again
    one, other = (pd.read_parquet(folder / "history.parquet") for folder in (whole, killed))
    assert one.step.tolist() == [2, 4, 6, 8] and one.loss.iloc[-1] < one.loss.iloc[0]
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    one, other = (torch.load(folder / "end.pt", weights_only=True) for folder in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)


class Epochs(Batches):
    per_epoch = 3


def test_epochs_are_validated_each_and_end_where_patience_does(tmp_path):
    chosen = settings(epochs=4, optimizer="adam", schedule="constant", clip=None)
    history = train(small(), Epochs(12), held_out(), chosen, tmp_path / "a")
    assert history.step.tolist() == [3, 6, 9, 12]
    # With a rate of zero nothing gets better after the first validation.
    still = chosen.model_copy(update={"learning_rate": 0.0, "patience": 2})
    history = train(small(), Epochs(12), held_out(), still, tmp_path / "b")
    assert history.step.tolist() == [3, 6, 9]
    again = train(small(), Epochs(12), held_out(), still, tmp_path / "b")
    assert again.equals(history)
    # With the last weights, the number of steps is chosen beforehand.
    last = still.model_copy(update={"restore": "last"})
    assert len(train(small(), Epochs(12), held_out(), last, tmp_path / "c")) == 4


def test_the_rate_is_constant_or_falls_to_zero():
    constant = settings(epochs=1, schedule="constant", warmup=0, learning_rate=0.5)
    assert {learning_rate(s, 10, constant) for s in range(10)} == {0.5}
    cosine = settings(warmup=2, learning_rate=1.0)
    rates = [learning_rate(s, 10, cosine) for s in range(10)]
    assert rates[0] == 0.5 and rates[1:] == sorted(rates[1:], reverse=True) and rates[-1] < 0.1


@pytest.mark.parametrize("budget", [{}, {"steps": 3, "epochs": 3}])
def test_a_budget_is_in_steps_or_in_epochs(budget):
    with pytest.raises(ValueError, match="either steps or epochs"):
        TrainingSettings(**budget)


class Blinding(Batches):
    """From the third batch on, an input is not a number."""

    def __getitem__(self, step):
        inputs, labels = super().__getitem__(step)
        return inputs * (float("nan") if step == 2 else 1), labels


@pytest.mark.parametrize(
    ("batches", "rate", "step"), [(Blinding(4), 0.01, 3), (Batches(1), 1e36, 1)]
)
def test_a_training_that_diverges_says_at_which_step(tmp_path, batches, rate, step):
    # The loss of a step comes before its update: the last update shows in the validation only.
    chosen = settings(learning_rate=rate)
    with pytest.raises(VibaError, match=f"diverged at step {step}: .*; lower learning_rate"):
        train(small(), batches, held_out(), chosen, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the checkpoint of two validations."""
    folder = tmp_path_factory.mktemp("trained")
    train(small(), Batches(4), held_out(), settings(steps=4), folder)
    return folder


@pytest.fixture
def started(trained, tmp_path):
    """A copy of that folder, to be damaged."""
    return shutil.copytree(trained, tmp_path / "started")


def without_best(content):
    saved = torch.load(io.BytesIO(content), weights_only=True)
    saved.pop("best")
    written = io.BytesIO()
    torch.save(saved, written)
    return written.getvalue()


DAMAGES = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "without a loss": without_best,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_resumed(started, damage):
    path, lines = started / "checkpoint.pt", []
    assert _Run(small(), settings(), started, "cpu", lines.append).step == 4
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert _Run(small(), settings(), started, "cpu", lines.append).step == 0
    assert len(lines) == 1 and "checkpoint cannot be read" in lines[0]


def test_another_error_is_no_damaged_checkpoint(started, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        _Run(small(), settings(), started, "cpu", print)


def test_the_paper_profile_trains_as_appendix_a_says():
    chosen = load_profile("paper").flow.training
    assert (chosen.learning_rate, chosen.batch_size, chosen.epochs, chosen.patience) == (
        0.001, 16, 50, 7,
    )  # fmt: skip
    assert (chosen.optimizer, chosen.schedule, chosen.weight_decay) == ("adam", "constant", 0)
    assert chosen.restore == "best" and chosen.warmup == 0 and chosen.clip is None


def test_frozen_batch_norm_keeps_its_statistics(tmp_path):
    inputs, labels = Batches()[99]
    model = small()
    train(model, Batches(), (inputs, labels.numpy()), settings(), tmp_path)
    assert torch.equal(model[1].running_mean, torch.zeros(4))


@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_the_faster_precision_is_used_and_timing_it_leaves_no_trace(tmp_path, monkeypatch, faster):
    def pretended(run, name, device):
        run(name)
        return 0.1 if name == faster else 1.0

    monkeypatch.setattr(precision, "_seconds", pretended)
    monkeypatch.setenv(precision.CACHE, str(tmp_path / "cache"))
    found = []
    for wanted in ("auto", faster):
        (tmp_path / wanted).mkdir(exist_ok=True)
        model = small()
        given = settings(precision=wanted, freeze_batchnorm=False)
        train(model, Batches(), held_out(), given, tmp_path / wanted)
        found.append(model.state_dict())
    for name, weights in found[0].items():
        assert torch.equal(weights, found[1][name]), name


def test_parts_before_the_first_trained_one_keep_their_weights(tmp_path):
    model = small()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    train(model, Batches(), held_out(), settings(train_from="6"), tmp_path)
    changed = {
        name for name, weights in model.state_dict().items() if not weights.equal(before[name])
    }
    assert {name for name in changed if not name.startswith("1.")} == {"6.weight", "6.bias"}
    with pytest.raises(VibaError, match="train_from is 'block4'; expected one of 0, 1, 2"):
        train(model, Batches(), held_out(), settings(train_from="block4"), tmp_path / "other")
