"""Profiles: how much of everything a run computes, checked when read."""

import os
import re
import reprlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from viba_lib.bottleneck.settings import BottleneckSettings, Precision
from viba_lib.core.errors import VibaError
from viba_lib.core.files import user_path
from viba_lib.core.settings import Count, Integer, Settings, Whole
from viba_lib.core.yaml_text import read_yaml
from viba_lib.data.artefacts import METHODS
from viba_lib.data.planted_dataset import PlantedSettings
from viba_lib.data.prepare import PreparationSettings
from viba_lib.models.training import TrainingSettings

KEPT_MEMORY = 512


class DatasetSettings(Settings):
    """`planted` makes the default data set; `catalog` takes a licensed one from a Parquet file."""

    kind: Literal["planted", "catalog"] = "planted"
    sources: Literal["quick", "standard"] = "quick"
    planted: PlantedSettings = PlantedSettings()
    catalog: str = "catalog.parquet"

    @field_validator("catalog")
    @classmethod
    def _below_the_data(cls, value: str) -> str:
        if user_path(value).is_absolute() or ".." in re.split(r"[/\\]", value):
            raise ValueError("expected a file below the data folder")
        return value


class DetectorSettings(Settings):
    """A detector: input size in pixels, start weights, the methods in its scope.

    `beta` is the weight of the information in its bottleneck; None = that of the bottleneck's
    settings.
    """

    size: Integer = Field(ge=64, le=1024)
    beta: float | None = Field(None, ge=0)
    weights: str | None = None
    methods: list[str] = Field([])
    training: TrainingSettings

    @field_validator("weights")
    @classmethod
    def _as_meant(cls, value: str | None) -> str | None:
        return value and str(user_path(value))


class EvaluationSettings(Settings):
    """Settings of the evaluation.

    `frames_per_clip` frames of a test clip are explained. `robustness_frames` of at most
    `robustness_clips` clips are corrupted. The statistics of a layer need `statistics_frames`
    frames, a bootstrap `draws` samples, and a decision with the bottleneck `noise_draws` samples
    of its noise.
    """

    frames_per_clip: Count = 4
    robustness_frames: Count = 2
    robustness_clips: Count | None = None
    statistics_frames: Count = 200
    draws: Count = 1000
    noise_draws: Integer = Field(8, ge=2)


class ReadoutSettings(Settings):
    """Training of the readout bottleneck (the paper: 10 epochs on the training split)."""

    layers: list[str] = Field(["block8", "block12", "conv4"])
    epochs: Count = 10
    frames: Count = 64
    learning_rate: float = Field(1e-5, gt=0)


class SpeedSettings(Settings):
    """The chapter on speed: what it times, and its study of convergence.

    `settings` are timed with `frames` frames in one call, and `counts` of frames for the cost of a
    clip; maps are compared with the mean of `runs` default runs in `precision`; the plain version
    has `plain_items` noise samples in a pass; the study optimises `clip_frames` frames of `clips`
    clips for `steps` steps.
    """

    settings: list[str] = Field(["plain", "default", "bfloat16", "fast", "accurate"])
    frames: Count = 2
    runs: Count = 8
    precision: Precision = "float32"
    plain_items: Count = 5
    counts: list[Count] = Field([1, 2, 4, 8, 16])
    clips: Count = 12
    clip_frames: Count = 4
    steps: Count = 200


class ComparisonSettings(Settings):
    """The chapter that compares methods: numbers of frames, budgets and measures.

    Every method explains `frames` held-out fakes with a budget of `passes` forward-equivalents
    each, and `budget_frames` of them with each of `budgets` as well. `tuning` frames
    of the validation split choose one setting each. `faithful` of the frames are put to the
    measures of faithfulness (`steps` points of a curve, `sets` of tiles), `sanity` to randomised
    networks, and `attacked` to attacks of `attack_samples` times `attack_steps` passes.
    `joint_clips` of `joint_frames` consecutive frames are explained one by one and jointly; `clips`
    of `clip_frames` are disturbed for some of their time. Maps that are computed many times
    (over time, for random networks, under noise) have `short_passes`.
    """

    frames: Count = 24
    passes: Integer = Field(64, ge=8)
    budgets: list[Annotated[Integer, Field(ge=8)]] = Field([16, 32, 128])
    budget_frames: Count = 8
    tuning: Count = 6
    faithful: Count = 8
    steps: Integer = Field(10, ge=2)
    sets: Integer = Field(32, ge=3)
    sanity: Count = 3
    attacked: Count = 4
    attack_samples: Integer = Field(40, ge=2)
    attack_steps: Count = 50
    joint_clips: Count = 4
    joint_frames: Integer = Field(12, ge=2)
    clips: Count = 6
    clip_frames: Integer = Field(12, ge=5)
    short_passes: Integer = Field(24, ge=8)


class Profile(Settings):
    """Everything a run needs to know, read from `pipeline/profiles/NAME.yaml` or a file."""

    # It is a folder below the results.
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    note: str
    dataset: DatasetSettings = DatasetSettings()
    preparation: PreparationSettings = PreparationSettings()
    xception: DetectorSettings
    flow: DetectorSettings
    bottleneck: BottleneckSettings = BottleneckSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    readout: ReadoutSettings = ReadoutSettings()
    speed: SpeedSettings = SpeedSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    workers: Integer = Field(2, ge=1, le=1024)
    kept_memory: Whole = KEPT_MEMORY  # MiB that a process does not give back when freed


def first_problem(error: ValidationError) -> str:
    """The first problem in one line: which setting, what was expected, what was given."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in first["loc"])
    if not where or ", got " in message:
        return f"{where}.{message}" if where else message
    return f"{where}: {message}, got {reprlib.repr(first['input'])}"


def profile_names() -> list[str]:
    """Names of the profiles that come with the library."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def from_anywhere(profile: str) -> str:
    """The name of a profile, or the whole path of its file, for processes in another folder."""
    return profile if profile in profile_names() else os.path.abspath(user_path(profile))


def load_profile(name: str | Path) -> Profile:
    """Read a profile by name or from a YAML file.

    Raises
    ------
    VibaError
        Unknown name, file that is not YAML, unknown key or value out of range.
    """
    own = str(name) in profile_names()
    path = Path(__file__).with_name(f"{name}.yaml") if own else user_path(name)
    known = f"choose one of {', '.join(profile_names())}, or give the path of a .yaml file"
    if not path.is_file():
        raise VibaError(f"profile {str(name)!r} does not exist; {known}")
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise VibaError(f"profile {str(name)!r} does not end in .yaml; {known}")
    try:
        # An empty file lacks the names that a profile must have, and so is told of the first.
        profile = Profile.model_validate(read_yaml(path.read_bytes()) or {})
    except ValidationError as error:
        raise VibaError(f"profile {name}: {first_problem(error)}") from error
    except ValueError as error:
        raise VibaError(f"profile {name} is not valid YAML: {error}; correct the file") from error
    for detector in (profile.xception, profile.flow):
        # Chapters run in another folder, so a file beside the profile has its whole path.
        if detector.weights and (file := path.parent / detector.weights).is_file():
            detector.weights = str(file.resolve())
    unknown = {*profile.xception.methods, *profile.flow.methods} - set(METHODS)
    if unknown:
        raise VibaError(f"profile {name}: unknown methods {sorted(unknown)}; known: {METHODS}")
    return profile
