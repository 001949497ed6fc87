"""Memory that each method allocates for the map of a frame."""

from pathlib import Path

import pandas as pd

from viba_lib.baselines.budget import LEAST
from viba_lib.baselines.tensor_memory import TensorMemory
from viba_lib.core.cache import Stage, Work
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Positions, Values, run_stage
from viba_lib.pipeline.stages import positions_of


def compute_memory(
    folder: Path, work: Work, *, rows: Positions, values: Values, **given: object
) -> None:
    """Peak of the tensors that each method allocates for one frame, in MiB."""
    run, found = BenchmarkRun(work=work, **given), []  # type: ignore[arg-type]
    inputs = run.inputs_at(rows)
    classes, passes = run.classes(inputs), run.numbers["passes"]
    for name, value in values.items():
        work.progress(f"{run.detector.name}: memory of {name}")
        # One-off work of a first call, such as tracing the tail, is not part of a frame.
        run.maps(name, inputs, LEAST, value, classes)
        with TensorMemory() as memory:
            run.maps(name, inputs, passes, value, classes)
        found.append((name, memory.peak / 2**20))
    pd.DataFrame(found, columns=["method", "memory"]).to_parquet(folder / "memory.parquet")


def memory_stage(benchmark: Benchmark) -> Stage:
    """Stage of `memory_of`."""
    study, detector, layer = benchmark.study, benchmark.detector, benchmark.layer
    settings = {"rows": positions_of(benchmark.rows.head(1)), "values": benchmark.values}
    return run_stage(study, detector, "memory", compute_memory, layer, ["passes"], settings)


def memory_of(benchmark: Benchmark) -> pd.DataFrame:
    """Memory of each method for the first frame; cached.

    Returns
    -------
    method, memory (peak of the tensors that exist at the same time, without the weights and the
    frame, in MiB).
    """
    return pd.read_parquet(benchmark.study.get(memory_stage(benchmark)) / "memory.parquet")
