"""Profiles: how much of everything a run computes, checked when read."""

import reprlib
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from viba_lib.bottleneck.settings import BottleneckSettings, Precision
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import METHODS
from viba_lib.data.planted_dataset import PlantedSettings
from viba_lib.data.prepare import PreparationSettings
from viba_lib.models.training import TrainingSettings

KEPT_MEMORY = 512


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DatasetSettings(_Strict):
    """`planted` makes the default data set; `catalog` takes a licensed one from a Parquet file."""

    kind: Literal["planted", "catalog"] = "planted"
    sources: Literal["quick", "standard"] = "quick"
    planted: PlantedSettings = PlantedSettings()
    catalog: str = "catalog.parquet"

    @field_validator("catalog")
    @classmethod
    def _below_the_data(cls, value: str) -> str:
        if Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("expected a file below the data folder")
        return value


class DetectorSettings(_Strict):
    """A detector: input size in pixels, start weights, the methods in its scope."""

    size: int = Field(ge=64, le=1024)
    weights: str | None = None
    methods: list[str] = []
    training: TrainingSettings


class EvaluationSettings(_Strict):
    """Frames per test clip that are explained, and made worse (of so many clips at most); frames
    for statistics; draws of a bootstrap; draws of the noise that the network with a bottleneck
    decides under."""

    frames_per_clip: int = 4
    robustness_frames: int = Field(2, ge=1)
    robustness_clips: int | None = Field(None, ge=1)
    statistics_frames: int = 200
    draws: int = 1000
    noise_draws: int = Field(8, ge=2)


class ReadoutSettings(_Strict):
    """Training of the readout bottleneck (the paper: 10 epochs on the training split)."""

    layers: list[str] = ["block8", "block12", "conv4"]
    epochs: int = 10
    frames: int = 64
    learning_rate: float = 1e-5


class SpeedSettings(_Strict):
    """The chapter on speed: what it times, and its study of convergence.

    `settings` are timed with `frames` frames in one call, and `counts` of frames for the cost of a
    clip; maps are compared with the mean of `runs` default runs in `precision`; the study optimises
    `clip_frames` frames of `clips` clips for `steps` steps.
    """

    settings: list[str] = ["plain", "default", "bfloat16", "fast", "accurate"]
    frames: int = Field(2, ge=1)
    runs: int = Field(8, ge=1)
    precision: Precision = "float32"
    counts: list[int] = [1, 2, 4, 8, 16]
    clips: int = Field(12, ge=1)
    clip_frames: int = Field(4, ge=1)
    steps: int = Field(200, ge=1)


class ComparisonSettings(_Strict):
    """The chapter that compares methods: how many frames, and how hard they are looked at.

    Every method explains `frames` held-out fakes with `passes` forward passes each. `tuning` frames
    of the validation split choose one setting each. `faithful` of the frames are put to the
    measures of faithfulness (`steps` points of a curve, `sets` of tiles), `sanity` to randomised
    networks, and `attacked` to attacks of `attack_samples` times `attack_steps` passes.
    `joint_clips` of `joint_frames` consecutive frames are explained one by one and jointly; `clips`
    of `clip_frames` are disturbed for some of their time. What is drawn again and again (over time,
    for random networks, under noise) has `short_passes`.
    """

    frames: int = Field(24, ge=1)
    passes: int = Field(64, ge=8)
    tuning: int = Field(6, ge=1)
    faithful: int = Field(8, ge=1)
    steps: int = Field(10, ge=2)
    sets: int = Field(32, ge=3)
    sanity: int = Field(3, ge=1)
    attacked: int = Field(4, ge=1)
    attack_samples: int = Field(40, ge=2)
    attack_steps: int = Field(50, ge=1)
    joint_clips: int = Field(4, ge=1)
    joint_frames: int = Field(12, ge=2)
    clips: int = Field(6, ge=1)
    clip_frames: int = Field(12, ge=5)
    short_passes: int = Field(24, ge=8)


class Profile(_Strict):
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
    workers: int = 2
    kept_memory: int = Field(KEPT_MEMORY, ge=0)  # MiB that a process does not give back when freed


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


def load_profile(name: str | Path) -> Profile:
    """Read a profile by name or from a YAML file.

    Raises
    ------
    VibaError
        Unknown name, file that is not YAML, unknown key or value out of range.
    """
    own = str(name) in profile_names()
    path = Path(__file__).with_name(f"{name}.yaml") if own else Path(name)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise VibaError(
            f"profile {str(name)!r} does not exist; choose one of {', '.join(profile_names())}, "
            "or give the path of a .yaml file"
        )
    try:
        profile = Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise VibaError(f"profile {name}: {first_problem(error)}") from error
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise VibaError(f"profile {name} is not valid YAML: {error}") from error
    unknown = {*profile.xception.methods, *profile.flow.methods} - set(METHODS)
    if unknown:
        raise VibaError(f"profile {name}: unknown methods {sorted(unknown)}; known: {METHODS}")
    return profile
