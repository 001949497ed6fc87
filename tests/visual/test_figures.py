"""Every figure is a picture with a transparent ground, no title, and nothing left in pyplot."""

import itertools

import cv2
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from skimage.color import rgb2lab

from viba_lib.data.tracking import Sighting
from viba_lib.evaluation.agreement import REGIONS
from viba_lib.evaluation.robustness import UNCHANGED, levels
from viba_lib.experiments.information_gap import gap_table
from viba_lib.visual import data_figures, map_figures, overlay, result_figures, style

rng = np.random.default_rng(0)
images = rng.integers(0, 255, (3, 24, 24, 3), dtype=np.uint8)
maps, masks = rng.random((3, 24, 24)), np.zeros((3, 24, 24))
masks[0, 4:9, 4:9] = 1
labels = ["a", "b", "c"]
history = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "val_loss": [1, 0.7], "val_auc": 0.6})
frames = pd.DataFrame({"label": [0, 1, 1], "method": ["", "mouth", "jitter"],
                       "p_fake": [0.1, 0.9, 0.4], "total_bits": [3.0, 5.0, 7.0]})  # fmt: skip
rows = pd.DataFrame({"name": ["x -", "x +"], "iou": [0.5, np.nan], "iou_low": [0.4, np.nan],
                     "iou_high": [0.6, np.nan]})  # fmt: skip
sweep = pd.DataFrame({"threshold": [0.1, 0.5] * 2, "label": ["real"] * 2 + ["fake"] * 2,
                      "detector": "xception", "iou": [0.9, 0.7, 0.8, 0.6]})  # fmt: skip
shares = pd.DataFrame({"region": list(REGIONS), "who": "planted", "share": 0.5})
parts = {k: np.arange(24)[:, None] // 4 == np.full((1, 24), i) for i, k in enumerate(REGIONS)}
methods = pd.DataFrame({"method": ["real", "mouth"], "frames": [4, 2], "without": [1.0, 0.5],
                        "with_bottleneck": [0.75, 0.5]})  # fmt: skip
beside = pd.DataFrame({"row": ["x", "y"], "measure": "accuracy (%)", "paper": [81.5, 80.0],
                       "run": [75.0, np.nan], "low": [60.0, np.nan],
                       "high": [90.0, np.nan]})  # fmt: skip
scores = {"x -": (np.array([0.2, 0.9]), np.array([0, 1])), "none": (np.zeros(0), np.zeros(0))}
losses = {"model_loss": rng.random((4, 2)), "information_loss": rng.random((4, 2))}
shares_of_cost = pd.DataFrame({"detector": "xception", "layer": ["block4", "bn4"],
                               "share": [0.6, 0.0]})  # fmt: skip
seconds = pd.DataFrame({"detector": ["a", "a", "b"], "layer": ["x", "x", "y"],
                        "settings": ["plain", "fast", "fast"],
                        "seconds": [40.0, 0.31, 0.02]})  # fmt: skip
ratios = pd.DataFrame({"line": ["beta 1"] * 2 + ["beta 10"] * 2, "steps": [1, 10] * 2,
                       "ratio": [1.0, 2.0, 1.1, np.nan]})  # fmt: skip

worse = pd.DataFrame(
    [("xception", kind, level, 0.8, 0.7, 0.9) for kind, level in levels()],
    columns=["detector", "corruption", "level", "auc", "auc_low", "auc_high"],
)

CASES = {
    "frames_grid": lambda: map_figures.frames_grid(list(images), labels, 2),
    "frames_grid with masks": lambda: map_figures.frames_grid(images, labels, 3, masks),
    "relevance_grid": lambda: map_figures.relevance_grid(images, maps, masks, labels),
    "relevance_grid of nothing": lambda: map_figures.relevance_grid(images[:1], 0 * maps[:1]),
    "layers_grid": lambda: map_figures.layers_grid(images, {"block4": maps}, masks, labels),
    "key_frame_plot": lambda: data_figures.key_frame_plot(rng.random(9), np.array([2, 5]), 0.3),
    "key_frame_plot of a still film": lambda: data_figures.key_frame_plot(
        np.zeros(4), np.zeros(0, int), 0.3
    ),
    "face_steps": lambda: data_figures.face_steps(
        images[0], (4, 5, 15, 16), rng.random((68, 2)) * 24, (10, 10, 15), 32
    ),
    "followed_faces": lambda: data_figures.followed_faces(
        images, [Sighting((4, 5, 15, 16), False), Sighting((4, 5, 15, 16), True), None]
    ),
    "flow_vectors": lambda: data_figures.flow_vectors(
        images[0], rng.normal(size=(24, 24, 2)).astype(np.float32)
    ),
    "learning_curves": lambda: result_figures.learning_curves(
        {"xception": history, "flow": history}
    ),
    "scores_by_method": lambda: result_figures.scores_by_method({"xception": frames}),
    "information_gap": lambda: result_figures.information_gap(
        gap_table(2, (0.0, 0.9), (0.5, 0.9), samples=50)
    ),
    "robustness": lambda: result_figures.robustness(worse),
    "reliability": lambda: result_figures.reliability(scores),
    "threshold_curves": lambda: result_figures.threshold_curves(sweep, ["iou"]),
    "region_overlay": lambda: map_figures.region_overlay(images[0], parts, REGIONS),
    "region_frequencies": lambda: result_figures.region_frequencies(shares, list(REGIONS)),
    "history_plot": lambda: map_figures.history_plot(losses),
    "maps_row": lambda: map_figures.maps_row({"one": maps[0], "two": maps[1]}),
    "lines": lambda: result_figures.lines(history, "step", ["loss"], "step", "loss"),
    "intervals": lambda: result_figures.intervals(rows, ["iou"], chance={"iou": 0.1}),
    "bits_plot": lambda: result_figures.bits_plot({"xception": frames}),
    "paper_plot": lambda: result_figures.paper_plot(beside),
    "cost_shares": lambda: result_figures.cost_shares(shares_of_cost),
    "seconds_bars": lambda: result_figures.seconds_bars(seconds),
    "over_steps": lambda: result_figures.over_steps(
        {"cold": ratios, "warm": ratios}, "ratio", "x", 1.0
    ),
    "as many lines as starts": lambda: result_figures.over_steps(
        {"start": pd.concat([ratios.assign(line=str(n), ratio=1.0) for n in range(5)])},
        "ratio",
        "steps",
    ),
    "by_method": lambda: result_figures.by_method({"xception": methods, "flow": methods[:1]}),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", CASES.values(), ids=CASES)
def test_a_figure_is_drawn(draw):
    figure = draw()
    picture = cv2.imdecode(np.frombuffer(figure._repr_png_(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape[2] == 4 and (picture[..., 3] == 0).any(), "the page's colour shows through"
    assert not any(axis.get_title() for axis in figure.axes) and figure.get_suptitle() == ""
    assert not plt.get_fignums()


def test_two_colours_mean_real_and_fake_and_nothing_else():
    assert not {style.REAL, style.FAKE} & set(style.OTHERS)
    names = ("intervals", "by_method", "paper_plot", "learning_curves", "reliability", "over_steps")
    for name in names:
        used = {to_hex(line.get_color()) for axis in CASES[name]().axes for line in axis.lines}
        assert not used & {style.REAL, style.FAKE}, name


def test_a_reference_run_is_marked_only_if_there_is_one():
    def lines(table):
        return [line.get_label() for line in result_figures.paper_plot(table).axes[0].lines]

    assert "reference run" in lines(beside.assign(reference=[70.0, np.nan]))
    assert lines(beside.assign(reference=np.nan)) == lines(beside) == ["this run", "the paper"]


def test_maps_that_carry_bits_have_a_bar_that_says_so():
    bars = [a.get_ylabel() for a in map_figures.relevance_grid(images, maps).axes]
    assert "bits per pixel" in bars


def test_the_scale_ends_at_the_strongest_pixels():
    peaked = np.full(1000, 0.01)
    peaked[-10:] = np.linspace(1, 2, 10)
    assert overlay.scale_maximum(peaked) == pytest.approx(np.quantile(peaked, 0.995))
    assert overlay.scale_maximum(peaked, 1.0) == 2
    even = np.full((4, 50), 0.3)
    assert overlay.scale_maximum(even) == pytest.approx(overlay.EVEN * 0.3)
    in_frame = np.pad(even, 40)
    assert overlay.scale_maximum(in_frame) == pytest.approx(overlay.EVEN * 0.3)
    assert overlay.scale_maximum(np.zeros((2, 2))) > 0


# ---- panels: as many as there are groups with values, whatever their number ---------------------

nothing = {
    "history": history.assign(loss=np.nan, val_auc=np.nan),
    "frames": frames.iloc[:0],
    "methods": methods.iloc[:0],
    "ratios": ratios.assign(ratio=np.nan),
    "cost": pd.DataFrame({"name": ["a"], "seconds": 1.0, "ratio": np.nan, "front": False,
                          "control": False}),
}  # fmt: skip


def groups_of(table: pd.DataFrame, count: int, empty: str) -> dict[str, pd.DataFrame]:
    """`count` groups with values and one without, which is not the last."""
    found = {f"group {number}": table for number in range(count)}
    return {"empty": nothing[empty], **found}


def measures_of(table: pd.DataFrame, measure: str, count: int) -> tuple[pd.DataFrame, list[str]]:
    """A table with `count` copies of a measure and one without values, and their names."""
    names = [f"{measure} {number}" for number in range(count)]
    return table.assign(none=np.nan, **{n: table[measure] for n in names}), ["none", *names]


def budgets(count: int) -> pd.DataFrame:
    table = pd.DataFrame({"detector": "x", "equivalents": [8, 16], "ratio": [1.5, 2.0]})
    parts = [table.assign(method=f"method {number}") for number in range(count)]
    return pd.concat([table.assign(method="empty", ratio=np.nan), *parts])


def timed(count: int) -> pd.DataFrame:
    layers = [str(number) for number in range(count)]
    rows = [("x", layer, name, 4.0) for layer in layers for name in ("plain", "fast")]
    rows.append(("x", "not timed", "plain", np.nan))
    return pd.DataFrame(rows, columns=list(seconds))


KINDS = [kind for kind in worse.corruption.unique() if kind != UNCHANGED]
regions = pd.DataFrame({"detector": "x", "rule": "sum", "top": [1, 2], "f1": [0.2, 0.4]})
cost = pd.DataFrame({"name": ["a", "b", "c"], "seconds": [1.0, 2, 3], "ratio": [1.0, 2, 1],
                     "front": [True, True, False], "control": False})  # fmt: skip

# Figure with `count` panels that have values, from data in which one more has none.
PANELS = {
    "learning_curves": lambda n: result_figures.learning_curves(groups_of(history, n, "history")),
    "scores_by_method": lambda n: result_figures.scores_by_method(groups_of(frames, n, "frames")),
    "bits_plot": lambda n: result_figures.bits_plot(groups_of(frames, n, "frames")),
    "by_method": lambda n: result_figures.by_method(groups_of(methods, n, "methods")),
    "over_steps": lambda n: result_figures.over_steps(
        groups_of(ratios, n, "ratios"), "ratio", "x", 1.0
    ),
    "worth_and_cost": lambda n: result_figures.worth_and_cost(
        groups_of(cost, n, "cost"), "seconds", "ratio", "x", "y", 1.0
    ),
    "threshold_curves": lambda n: result_figures.threshold_curves(*measures_of(sweep, "iou", n)),
    "intervals": lambda n: result_figures.intervals(*measures_of(rows, "iou", n)),
    "rules": lambda n: result_figures.rules(*measures_of(regions, "f1", n)),
    "over_budget": lambda n: result_figures.over_budget(budgets(n), 1.0),
    "robustness": lambda n: result_figures.robustness(
        worse.assign(auc=worse.auc.where(worse.corruption.isin([UNCHANGED, *KINDS[:n]])))
    ),
    "seconds_bars": lambda n: result_figures.seconds_bars(timed(n)),
    "frames_grid": lambda n: map_figures.frames_grid([images[0]] * n, ["a"] * n, 4),
    "maps_row": lambda n: map_figures.maps_row({str(k): maps[0] for k in range(n)}),
    "relevance_grid": lambda n: map_figures.relevance_grid(images[[0] * n], maps[[0] * n]),
    "layers_grid": lambda n: map_figures.layers_grid(
        images, {str(k): maps for k in range(n)}, masks, labels
    ),
    "method_grid": lambda n: map_figures.method_grid(
        images[0], masks[0], {str(k): maps[0] for k in range(n)}
    ),
}
EACH = {  # panels for each group; one otherwise
    "learning_curves": lambda n: 2 * n,
    "relevance_grid": lambda n: 2 * n,
    "layers_grid": lambda n: len(images) * (n + 1),
    "method_grid": lambda n: n + 1,
}


def panels_of(figure: Figure) -> list:
    return [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]


def marks(axis) -> int:
    """Artists of an axis at finite data; lines that only mark a level do not count."""
    lines = [line.get_xydata() for line in axis.lines if line.get_transform() == axis.transData]
    paths = [path.vertices for c in axis.collections for path in c.get_paths() if len(path)]
    dots = [c.get_offsets() for c in axis.collections if c.get_offsets().any()]
    bars = [patch.get_extents().get_points() for patch in axis.patches if patch.get_width()]
    found = [np.ma.filled(points, np.nan) for points in (*lines, *paths, *dots, *bars)]
    drawn = sum(len(p) > 0 and bool(np.isfinite(p).all(axis=1).any()) for p in found)
    return drawn + len(axis.images)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("name", PANELS)
def test_no_panel_is_empty(name, count):
    figure = PANELS[name](count)
    figure.draw_without_rendering()
    panels = panels_of(figure)
    assert len(panels) == EACH.get(name, lambda n: n)(count)
    assert all(axis.get_visible() and marks(axis) for axis in panels)
    places = {axis.get_subplotspec().get_gridspec().get_geometry() for axis in panels}
    # In one row there is no room that no panel takes; in several, only the last has some.
    assert all(rows * columns - len(panels) < columns for rows, columns in places)


@pytest.mark.parametrize("name", PANELS)
def test_no_figure_is_so_wide_that_a_page_makes_its_letters_small(name):
    assert PANELS[name](6).get_figwidth() <= style.WIDEST


def test_an_empty_panel_is_noticed():
    axis = style.new_plot(3, 3)[1]
    axis.plot([], [])
    axis.plot([1.0, 2.0], [np.nan, np.nan])
    axis.axhline(0.5)
    assert marks(axis) == 0
    axis.plot([1.0], [1.0], "o")
    assert marks(axis) == 1


def test_a_detector_without_a_measure_has_no_panel_for_it():
    both = pd.concat([regions, regions.assign(detector="y", f1=np.nan)]).assign(recall=0.5)
    figure = result_figures.rules(both, ["recall", "f1"])
    names = [(axis.get_xlabel(), axis.get_ylabel()) for axis in panels_of(figure)]
    assert names == [("regions, x", "recall"), ("regions, x", "f1"), ("regions, y", "recall")]
    assert [axis.get_legend().get_visible() for axis in panels_of(figure)] == [False, True, False]
    no_auc = result_figures.learning_curves({"x": history, "y": history.assign(val_auc=np.nan)})
    assert len(panels_of(no_auc)) == 3


def test_a_kind_without_frames_is_not_in_the_legend():
    axis = result_figures.bits_plot({"x": frames[frames.label == 1]}).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["fake"]


def test_one_measure_has_a_legend_too():
    axis = result_figures.threshold_curves(sweep, ["iou"]).axes[0]
    assert {"real", "fake"} <= {text.get_text() for text in axis.get_legend().get_texts()}


def test_figures_show_what_they_are_given():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    maps = np.random.default_rng(0).random((2, 16, 16))
    masks = np.zeros((2, 16, 16))
    masks[0, 4:8, 4:8] = 1
    figure = map_figures.relevance_grid(images, maps, masks, ["a", "b"])
    assert isinstance(figure, Figure)
    assert [a.get_xlabel() for a in figure.axes[2:4]] == ["a", "b"]
    assert any("bits per pixel" in a.get_ylabel() for a in figure.axes)
    history = pd.DataFrame({"step": [1, 2], "loss": [1, 0.5], "val_loss": [1, 0.7],
                            "val_auc": [0.5, 0.9]})  # fmt: skip
    lines = result_figures.learning_curves({"x": history}).axes[0].lines
    assert lines[0].get_ydata().tolist() == [1, 0.5]


def test_bars_on_a_log_axis_end_at_their_seconds():
    first, second = result_figures.seconds_bars(seconds).axes
    ends = [bar.get_x() + bar.get_width() for bar in (*first.patches, *second.patches)]
    assert ends == pytest.approx([40.0, 0.31, 0.02])
    assert first.get_xlim() == second.get_xlim() and first.get_xscale() == "log"
    assert [t.get_text() for t in first.texts] == ["40 s", "0.31 s"]


def test_shares_of_cost_fill_the_bar():
    patches = result_figures.cost_shares(shares_of_cost).axes[0].patches
    assert [p.get_width() for p in patches] == pytest.approx([0.6, 0.0, 0.4, 1.0])


def test_figures_of_a_comparison():
    image, mask = np.zeros((32, 32, 3), np.uint8), np.eye(32)
    names = ["VIBA", "Grad-CAM", "LRP", "Occlusion", "Random"]
    grid = map_figures.method_grid(image, mask, dict.fromkeys(names, mask))
    labels = [axis.get_xlabel() or axis.get_title() for axis in grid.axes if axis.get_visible()]
    assert sum(axis.get_visible() for axis in grid.axes) == 6, labels
    table = pd.DataFrame({
        "name": names, "seconds": [1.0, 2, 3, 4, 0.01], "ratio": [1.0, 2, 1, 3, 1],
        "front": [True, True, False, True, False], "control": [False] * 4 + [True],
    })  # fmt: skip
    plot = result_figures.worth_and_cost(
        {"one": table, "two": table}, "seconds", "ratio", "x", "y", 1.0
    )
    assert [t.get_text() for t in plot.axes[0].texts] == list(table.sort_values("ratio").name)
    plot.draw_without_rendering()
    boxes = [Text.get_window_extent(name) for name in plot.axes[0].texts]  # without their lines
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    near = table.assign(seconds=[0.2, 0.3, 0.4, 0.5, 0.6])
    axis = result_figures.worth_and_cost({"x": near}, "seconds", "ratio", "x", "y").axes[0]
    axis.figure.draw_without_rendering()
    ticks = [t.get_text() for t in axis.get_xticklabels(which="both") if t.get_text()]
    assert ticks, "an axis within one power of ten has numbers"
    heat = result_figures.heat(table.set_index("name")[["seconds", "ratio"]], "over chance", 1.0)
    assert len(heat.axes[0].texts) == 10


def test_names_that_are_too_close_are_moved_apart():
    np.testing.assert_allclose(
        result_figures.spread(np.array([0.2, 0.21, 0.9]), 0.1), [0.2, 0.3, 0.9]
    )
    np.testing.assert_allclose(result_figures.spread(np.array([0.97, 0.98, 1]), 0.1), [0.8, 0.9, 1])
    crowded = result_figures.spread(np.full(30, 0.4), 0.1)
    np.testing.assert_allclose(crowded, np.linspace(0, 1, 30), atol=1e-12)
    assert result_figures.spread(np.zeros(0), 0.1).size == 0


NOTHING = {
    "learning_curves": lambda: result_figures.learning_curves({"x": nothing["history"]}),
    "scores_by_method": lambda: result_figures.scores_by_method({"x": nothing["frames"]}),
    "bits_plot": lambda: result_figures.bits_plot({"x": nothing["frames"]}),
    "by_method": lambda: result_figures.by_method({}),
    "threshold_curves": lambda: result_figures.threshold_curves(sweep.assign(iou=np.nan), ["iou"]),
    "robustness": lambda: result_figures.robustness(worse.assign(auc=np.nan)),
    "seconds_bars": lambda: result_figures.seconds_bars(seconds.assign(seconds=np.nan)),
    "over_budget": lambda: result_figures.over_budget(budgets(0), 1.0),
    "intervals": lambda: result_figures.intervals(rows.assign(iou=np.nan), ["iou"]),
    "paper_plot": lambda: result_figures.paper_plot(beside.assign(run=np.nan)),
    "region_frequencies": lambda: result_figures.region_frequencies(shares.assign(share=0.0), "L"),
    "rules": lambda: result_figures.rules(pd.DataFrame({"f1": [np.nan]}), ["f1"]),
    "over_steps": lambda: result_figures.over_steps(
        {"cold": ratios.assign(ratio=np.nan)}, "ratio", "x"
    ),
    "heat": lambda: result_figures.heat(pd.DataFrame(index=["VIBA"]), "over chance", 1.0),
    "worth_and_cost": lambda: result_figures.worth_and_cost(
        {"one": pd.DataFrame({"ratio": [np.nan]})}, "seconds", "ratio", "x", "y"
    ),
}


@pytest.mark.parametrize("draw", NOTHING.values(), ids=NOTHING)
def test_no_figure_is_drawn_of_nothing(draw):
    assert draw() is None


def test_a_measure_without_values_has_no_panel():
    both = result_figures.intervals(rows.assign(ratio=np.nan), ["ratio", "iou"])
    assert [axis.get_xlabel() for axis in both.axes if axis.get_visible()] == ["iou"]


# Machado, Oliveira & Fernandes (2009): what is left of linear RGB without one kind of cone.
BLIND = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def seen(colour, matrix):
    """A colour in CIELAB as somebody without one kind of cone sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    left = np.clip(np.array(matrix) @ linear, 0, 1)
    back = np.where(left <= 0.0031308, left * 12.92, 1.055 * left ** (1 / 2.4) - 0.055)
    return rgb2lab(back[None, None])[0, 0]


@pytest.mark.parametrize("kind", BLIND)
def test_colours_of_real_and_fake_differ_for_everyone(kind):
    real, fake = (seen(c, BLIND[kind]) for c in (style.REAL, style.FAKE))
    assert np.linalg.norm(real - fake) > 40  # 2.3 is just noticeable
    first, second = (seen(c, BLIND[kind]) for c in (style.FIRST, style.SECOND))
    assert np.linalg.norm(first - second) > 15


def test_relevance_is_ordered_by_lightness_for_everyone():
    colours = mpl.colormaps["inferno"](np.linspace(0, 1, 64))[:, :3]
    for matrix in BLIND.values():
        lightness = np.array([seen(c, matrix)[0] for c in colours])
        assert (np.diff(lightness) > 0).mean() > 0.95 and lightness[-1] - lightness[0] > 80


def test_what_has_no_value_has_no_panel():
    budgets = pd.DataFrame({"detector": "x", "method": ["a", "b"], "equivalents": [8, 8],
                            "ratio": [1.5, np.nan]})  # fmt: skip
    regions = pd.DataFrame({"detector": "x", "rule": "sum", "top": [1, 2], "f1": [0.2, 0.4],
                            "recall": np.nan})  # fmt: skip
    figures = [
        result_figures.over_budget(budgets, 1.0),
        result_figures.over_steps({"a": ratios, "b": ratios.assign(ratio=np.nan)}, "ratio", "x"),
        result_figures.rules(regions, ["recall", "f1"]),
    ]
    assert [len(figure.axes) for figure in figures] == [1, 1, 1]
