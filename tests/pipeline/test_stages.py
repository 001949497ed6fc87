"""Keys of the stages: what can change a result changes its key, and nothing else does."""

import ast
import inspect
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import viba_lib
from viba_lib.core.cache import Stage
from viba_lib.core.code import _key, code_key
from viba_lib.data.catalog import save_catalog
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.profiles import Profile, load_profile
from viba_lib.pipeline.run import Run
from viba_lib.pipeline.stages import Stages

LIBRARY = Path(viba_lib.__file__).parent
ROWS = pd.DataFrame({"video_id": ["a", "b"], "position": [0, 1]})


def declared(profile: Profile, seed: int = 0) -> dict[str, Stage]:
    """All stages of a profile by name; no data is needed to declare them."""
    stages = Stages(profile, seed, Path("data"))
    assert isinstance(stages.dataset, Stage)
    found = [stages.dataset, *stages.shared()]
    for name in DETECTORS:
        detector = stages.detector(name)
        found.append(stages.explained(detector, detector.layers[0], ROWS))
        found.append(stages.domain(detector, detector.layers[0]))
    return {stage.name: stage for stage in found}


def of(profile: Profile, seed: int = 0) -> dict[str, str]:
    return {name: stage.digest for name, stage in declared(profile, seed).items()}


TINY = load_profile("tiny")
NAMES = set(declared(TINY))
MOTION = {name for name in NAMES if name.endswith("flow-vgg11")}
FACES = {name for name in NAMES if name.endswith("xception")}
EXPLAINED = {name for name in NAMES if name.startswith("explain-")}
READOUT = {"readout-xception"}
# Settings of a profile, another value, and the stages whose results they change.
SETTINGS: dict[str, tuple[Any, set[str]]] = {
    "dataset.sources": ("standard", NAMES),
    "dataset.planted.clip_length": (9, NAMES),
    "dataset.planted.max_clips": (2, NAMES),
    "dataset.planted.width": (321, NAMES),
    "preparation.frames_per_video": (3, NAMES - {"dataset"}),
    "xception.size": (97, FACES),
    "xception.weights": ("imagenet", FACES),
    "xception.methods": (["mouth"], FACES),
    "xception.training.steps": (3, FACES),
    "xception.training.learning_rate": (0.5, FACES),
    "xception.training.batch_size": (5, FACES),
    "xception.training.precision": ("bfloat16", FACES),
    "flow.size": (65, MOTION),
    "flow.methods": (["lag"], MOTION),
    "flow.beta": (3.0, EXPLAINED & MOTION),
    "flow.training.steps": (3, MOTION),
    "flow.training.freeze_batchnorm": (True, MOTION),
    "bottleneck.beta": (3.0, EXPLAINED),
    "bottleneck.steps": (3, EXPLAINED),
    "bottleneck.noise_samples": (3, EXPLAINED),
    "bottleneck.precision": ("bfloat16", EXPLAINED | READOUT),
    "evaluation.robustness_frames": (2, {name for name in NAMES if "robustness" in name}),
    "evaluation.robustness_clips": (2, {name for name in NAMES if "robustness" in name}),
    "evaluation.statistics_frames": (
        9, EXPLAINED | READOUT | {n for n in NAMES if n.startswith(("statistics", "domain"))},
    ),
    "evaluation.noise_draws": (3, EXPLAINED),
    "evaluation.draws": (51, set()),
    "readout.epochs": (3, READOUT),
    "readout.frames": (5, READOUT),
    "readout.layers": (["block8", "block12"], READOUT),
    "readout.learning_rate": (0.5, READOUT),
    "speed.frames": (2, set()),
    "comparison.frames": (3, set()),
    "workers": (3, set()),
    "note": ("another text", set()),
}  # fmt: skip


def changed(path: str, value: Any) -> Profile:
    """The tiny profile with one setting changed."""
    content = TINY.model_dump()
    *parents, last = path.split(".")
    place = content
    for name in parents:
        place = place[name]
    assert place[last] != value, "the test changes nothing"
    place[last] = value
    return Profile.model_validate(content)


@pytest.mark.parametrize("path", SETTINGS)
def test_a_setting_changes_the_keys_of_the_results_that_it_changes(path):
    value, expected = SETTINGS[path]
    before, after = of(TINY), of(changed(path, value))
    assert {name for name in NAMES if before[name] != after[name]} == expected


def test_start_weights_count_by_their_content(tmp_path):
    file, keys = tmp_path / "w.pth", []
    for content in (b"a", b"b", b"a"):
        file.write_bytes(content)
        keys.append(of(changed("xception.weights", str(file))))
    assert keys[0] == keys[2]
    assert {name for name in NAMES if keys[0][name] != keys[1][name]} == FACES


def test_the_seed_changes_everything():
    before, after = of(TINY), of(TINY, seed=1)
    assert all(before[name] != after[name] for name in NAMES)


def test_a_stage_sees_only_what_is_in_its_key():
    """Compute functions take declared inputs and settings by name, and no study or profile."""
    for stage in declared(TINY).values():
        names = list(inspect.signature(stage.compute).parameters)
        assert names[:2] == ["folder", "work"]
        own = {name.name for name in fields(Run)} - {"work"} if names[-1] == "given" else set()
        declared_names, asked = {*stage.inputs, *stage.settings}, {*names[2:]} - {"given"}
        assert asked <= declared_names <= asked | own, stage.name


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the library's source, to be edited."""
    shutil.copytree(LIBRARY, tmp_path / "viba_lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "viba_lib"


def keys(library: Path) -> dict[str, str]:
    _key.cache_clear()  # the copy is edited within this process
    return {
        name: code_key(stage.compute, *stage.uses, library=library)
        for name, stage in declared(TINY).items()
    }


class _OtherWords(ast.NodeTransformer):
    """Replaces every docstring."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                first.value.value = "Another text."
        return node


def test_docstrings_comments_and_layout_change_no_key(copy):
    before = keys(copy)
    for path in copy.rglob("*.py"):
        tree = _OtherWords().visit(ast.parse(path.read_text(encoding="utf-8")))
        # Comments go and the layout is another: only the code is the same.
        path.write_text("# A comment.\n" + ast.unparse(tree), encoding="utf-8")
    assert keys(copy) == before


@pytest.mark.parametrize("path", ["models/describe.py", "data/card.py", "visual/html_table.py"])
def test_what_only_prints_changes_no_key(copy, path):
    before = keys(copy)
    source = (copy / path).read_text(encoding="utf-8")
    (copy / path).write_text(source + "\n\ndef more():\n    return 1\n", encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            changed_source = source.replace(f"def {node.name}(", f"def {node.name}_(")
            (copy / path).write_text(changed_source, encoding="utf-8")
    assert keys(copy) == before


@pytest.mark.parametrize(
    ("path", "old", "new", "touched"),
    [
        ("bottleneck/statistics.py", "squares", "squared", "statistics"),
        ("models/training.py", "clip_grad_norm_", "clip_grad_value_", "train"),
        ("evaluation/robustness.py", "def corrupt(", "def corrupt(_unused, ", "robustness"),
        ("data/keyframes.py", "baseline(", "baseline_(", "prepare"),
        ("data/artefacts.py", "SPATIAL", "SPATIAL_", "dataset"),
    ],
)
def test_code_that_computes_a_stage_changes_its_key(copy, path, old, new, touched):
    before = keys(copy)
    source = (copy / path).read_text(encoding="utf-8")
    assert old in source
    (copy / path).write_text(source.replace(old, new), encoding="utf-8")
    after = keys(copy)
    named = [name for name in NAMES if name.split("-")[0] == touched]
    assert named and all(before[name] != after[name] for name in named)


def test_the_videos_of_a_catalog_count_and_not_their_names_alone(tmp_path):
    rows = {"video_id": ["a"], "path": ["a.mp4"], "dataset": ["d"], "label": ["real"]}
    keys = []
    for folder, content in (("one", b"1"), ("two", b"22"), ("two", b"333")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.mp4").write_bytes(content)
        save_catalog(pd.DataFrame(rows), tmp_path / folder / "catalog.parquet")
        profile = changed("dataset.kind", "catalog")
        keys.append(Stages(profile, 0, tmp_path / folder).prepared.digest)
    assert len(set(keys)) == 3
    (tmp_path / "two" / "a.mp4").unlink()  # it becomes a problem of the preparation
    assert Stages(profile, 0, tmp_path / "two").prepared.digest not in keys
