"""The viewer: its data are whole and true, and its page works in a browser, by mouse and keys."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from viba_lib.book.browser import PHONE, find_browser, violations
from viba_lib.book.viewer import (
    CYAN,
    DATA,
    FRAMES,
    PEOPLE,
    SIDE,
    WORST,
    choose_clips,
    clips_in_scope,
    encode_all,
    outline,
    script,
    series_of,
    shown_layers,
    viewer_stage,
)
from viba_lib.core.cache import META, External
from viba_lib.core.errors import VibaError
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

ROOT = Path(__file__).parents[2]


def manifest_of(path: Path) -> dict:
    """The JSON that a script of data assigns."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex(";")])


# ---- choosing, drawing and encoding, without a study --------------------------------------------


def clips(*rows: tuple) -> pd.DataFrame:
    names = ["video_id", "label", "category", "take", "person", "error"]
    return pd.DataFrame(rows, columns=names).assign(wrong=lambda t: t.error >= 0.5)


def test_one_clip_of_each_category_of_one_take_and_the_worst_mistake():
    table = clips(
        ("a", 0, "real", "a", "Ann", 0.1),
        ("a-mouth", 1, "spatial", "a", "Ann", 0.9),
        ("a-lag", 1, "temporal", "a", "Ann", 0.2),
        ("b", 0, "real", "b", "Ann", 0.1),
        ("b-mouth", 1, "spatial", "b", "Ann", 0.3),
        ("b-lag", 1, "temporal", "b", "Ann", 0.4),
        ("b-jitter", 1, "temporal", "b", "Ann", 0.7),
    )
    # The first spatial fake is taken for real: so the other take is shown, and the mistake last.
    ann = "Person Ann"
    assert list(choose_clips(table).items()) == [
        ("b", ann), ("b-mouth", ann), ("b-lag", ann), ("a-mouth", WORST)
    ]  # fmt: skip
    assert choose_clips(table.iloc[:0]) == {}
    # Without a further clip, none is called the one with the largest error.
    assert choose_clips(table.iloc[:1]) == {"a": ann}


def test_a_fake_of_each_further_person_is_shown_up_to_a_number_of_people():
    people = [
        (f"{name}{kind}", int(kind != ""), "spatial" if kind else "real", name, name, error)
        for name in "abcdef"
        for kind, error in (("", 0.1), ("-eyes", 0.6), ("-mouth", 0.2))
    ]
    shown = choose_clips(clips(*people))
    # A correct decision comes before a wrong one, and the last clip is a mistake.
    assert list(shown) == ["a", "a-mouth", "b-mouth", "c-mouth", "d-mouth", "a-eyes"]
    assert len(set(shown.values()) - {WORST}) == PEOPLE == 4
    assert list(choose_clips(clips(*people), people=2)) == ["a", "a-mouth", "b-mouth", "a-eyes"]


def test_licensed_fakes_have_no_category_of_their_own():
    table = clips(
        ("x", 0, "real", "x", "x", 0.1),
        ("y", 1, "fake", "x", "x", 0.1),
        ("z", 1, "fake", "x", "x", 0.8),
    )
    assert list(choose_clips(table)) == ["x", "y", "z"]


def test_without_an_identity_a_take_is_a_person():
    rows = pd.DataFrame({"video_id": ["x", "y", "z"], "label": [0, 1, 1], "method": ["", "m", "m"],
                         "original": ["", "x", "w"], "identity": ["", "", "Ann"], "p_fake": 0.5,
                         "split": "test", "in_scope": True})  # fmt: skip
    assert clips_in_scope(rows).person.tolist() == ["x", "x", "Ann"]


def test_an_outline_runs_around_the_mask_and_is_clear_inside():
    mask = np.zeros((56, 56), np.float32)
    mask[14:42, 14:42] = 1
    drawn = outline(mask)
    assert drawn.shape == (SIDE, SIDE, 4) and drawn[SIDE // 2, SIDE // 2, 3] == 0
    assert tuple(drawn[SIDE // 2, SIDE // 4]) == (*CYAN, 255) and drawn[0, 0, 3] == 0
    assert not outline(np.zeros((56, 56), np.float32)).any()


def test_pictures_fit_their_budget_or_are_refused():
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    free, tight = (sum(map(len, encode_all({"a": noise}, n).values())) for n in (10**6, 20_000))
    assert tight <= 20_000 < free
    with pytest.raises(VibaError, match="more than 100"):
        encode_all({"a": noise}, 100)


def test_outlines_keep_their_colour_and_transparency():
    drawn = outline(np.pad(np.ones((8, 8), np.float32), 4))
    data = np.frombuffer(encode_all({"a": drawn})["a"], np.uint8)
    back = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    np.testing.assert_array_equal(back[..., 3], drawn[..., 3])
    np.testing.assert_array_equal(back[drawn[..., 3] > 0], drawn[drawn[..., 3] > 0])


def test_no_title_can_leave_the_script():
    text = script({"title": "</script><img src=x>"})
    assert "<" not in text and text.startswith("window.VIBA_VIEWER = {")
    with pytest.raises(ValueError, match="JSON"):
        script({"n": float("nan")})


# ---- the data of the tiny profile ---------------------------------------------------------------


@pytest.fixture(scope="module")
def viewer(study) -> Path:
    """Folder of the viewer's data."""
    return study.get(viewer_stage(study))


@pytest.fixture(scope="module")
def manifest(viewer) -> dict:
    return manifest_of(viewer / DATA)


def every_series(manifest: dict):
    for clip in manifest["clips"]:
        for name, found in clip["detectors"].items():
            for series in found["series"]:
                yield clip, name, found, series


def named_pictures(manifest: dict) -> set[str]:
    names = {n for c in manifest["clips"] for n in (*c["originals"], *(c["truth"] or ()))}
    for _, _, found, series in every_series(manifest):
        names |= {*series["pictures"], *(found["inputs"] or ())}
    return names


@pytest.mark.network
def test_the_manifest_names_each_picture_that_is_there(viewer, manifest):
    files = {p.name for p in viewer.glob("*.webp")}
    assert named_pictures(manifest) == files
    assert {p.name for p in viewer.iterdir()} == files | {DATA, META}
    assert sum(p.stat().st_size for p in viewer.glob("*.webp")) < 4_000_000
    for path in viewer.glob("*.webp"):
        assert cv2.imread(str(path)).shape == (SIDE, SIDE, 3), path.name


@pytest.mark.network
def test_real_spatial_and_temporal_clips_of_the_test_split(study, manifest):
    shown = study.catalog().set_index("video_id").loc[[c["id"] for c in manifest["clips"]]]
    assert set(shown.split) == {"test"}
    titles = [clip["title"].split(":")[0] for clip in manifest["clips"]]
    assert {"Real", "Spatial fake", "Temporal fake"} <= set(titles)
    for clip in manifest["clips"]:
        assert clip["fake"] == (clip["truth"] is not None)
        assert clip["seconds"] == sorted(clip["seconds"]) and clip["seconds"][0] >= 0


@pytest.mark.network
def test_consecutive_frames_of_several_people_are_shown(study, manifest):
    # The last frame of a clip has no successor, and so no flow.
    count = min(FRAMES, study.profile.dataset.planted.clip_length - 1)
    for clip in manifest["clips"]:
        assert clip["frames"] == list(range(count))
    ids = [clip["id"] for clip in manifest["clips"]]
    people = study.catalog().query("split == 'test'").set_index("video_id").identity
    assert people[ids].nunique() == min(people.nunique(), PEOPLE)
    assert [clip["group"] for clip in manifest["clips"]][-1] == WORST
    for clip in manifest["clips"][:-1]:
        assert clip["group"] == f"Person {people[clip['id']]}"


@pytest.mark.network
def test_each_detector_has_its_methods_and_layers(study, manifest):
    for clip in manifest["clips"]:
        assert set(clip["detectors"]) == set(DETECTORS)
        for name, found in clip["detectors"].items():
            paper, late = shown_layers(DETECTORS[name])
            assert len(found["series"]) == len(series_of(DETECTORS[name], found["in_scope"]))
            layers = {s["layer"] for s in found["series"]}
            assert layers == {paper, *([late] if found["in_scope"] else [])}
    assert [shown_layers(detector)[1] for detector in DETECTORS.values()] == [
        "block12",
        "features.16",
    ]


@pytest.mark.network
def test_numbers_are_those_of_the_study(study, manifest):
    for clip, name, found, series in every_series(manifest):
        count = len(clip["frames"])
        lists = (found["p_fake"], found["area"], series["pictures"], series["inside"])
        assert all(len(values) == count for values in lists)
        table = study.predictions(name).query("video_id == @clip['id']").set_index("frame")
        same = [i for i, frame in enumerate(clip["frames"]) if frame in table.index]
        assert same
        p_fake = table.p_fake[[clip["frames"][i] for i in same]]
        # A batch of other frames rounds differently.
        np.testing.assert_allclose(np.array(found["p_fake"])[same], p_fake, atol=3e-3)
        assert (series["bits"] is None) == (series["method"] != "viba")
        assert all(a is None for a in found["area"]) != clip["fake"]
        assert all(x is None or 0 <= x <= 1 for x in series["inside"])


@pytest.mark.network
def test_bits_are_those_of_the_chapters(study, manifest):
    maps = study.explanations("xception").to_dataframe().reset_index()
    totals = maps.drop_duplicates(["video_id", "frame"]).set_index(["video_id", "frame"]).total_bits
    seen = 0
    for clip, name, found, series in every_series(manifest):
        if name == "xception" and found["in_scope"] and series["layer"] == study.layer(name):
            for frame, bits in zip(clip["frames"], series["bits"] or (), strict=False):
                if (clip["id"], frame) in totals.index:
                    assert bits == pytest.approx(totals[clip["id"], frame], rel=1e-4)
                    seen += 1
    assert seen >= 4


@pytest.mark.network
def test_a_second_build_computes_nothing(study, viewer, monkeypatch):
    monkeypatch.setattr("viba_lib.book.viewer.encode_all", lambda _: pytest.fail("computed again"))
    again = Study(study.profile, study.data_root, study.root.parent)
    assert again.get(viewer_stage(again)) == viewer


@pytest.mark.slow
@pytest.mark.network
def test_what_is_drawn_again_is_the_same(study, viewer):
    again = study.get(replace(viewer_stage(study), name="viewer-again"))
    try:
        for path in viewer.iterdir():
            assert path.name == META or (again / path.name).read_bytes() == path.read_bytes()
    finally:
        shutil.rmtree(again.parent)


@pytest.mark.network
def test_each_setting_and_input_changes_the_key(study, viewer):
    stage = viewer_stage(study)
    assert stage.digest == viewer.name
    for name in stage.settings:
        assert replace(stage, settings=stage.settings | {name: None}).digest != stage.digest
    for name in stage.inputs:
        other = stage.inputs | {name: External(Path(), "another")}
        assert replace(stage, inputs=other).digest != stage.digest


# ---- the page in a browser ----------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Viewer</title></head>
<body style="margin: 16px"><main>{}</main></body></html>"""


def made_manifest() -> dict:
    """Two clips of five frames and three, as a build might write them."""

    def series(method: str, layer: str, count: int, fake: bool) -> dict:
        bits = [100.5 + 50 * n for n in range(count)] if method == "viba" else None
        inside = [0.1 * n if fake else None for n in range(count)]
        names = [f"{method}-{layer[:4].strip('.')}-{n}.webp" for n in range(count)]
        return {"method": method, "layer": layer, "pictures": names, "top": 0.25, "bits": bits,
                "inside": inside}  # fmt: skip

    def detector(layers: list[str], count: int, fake: bool, in_scope: bool) -> dict:
        pairs = [("viba", n) for n in layers] + [("grad-cam", layers[0])]
        return {
            "in_scope": in_scope,
            "p_fake": [0.05 + 0.2 * n for n in range(count)],
            "area": [0.2 if fake else None] * count,
            "inputs": None if "block4" in layers else [f"input-{n}.webp" for n in range(count)],
            "series": [series(*pair, count, fake) for pair in pairs],
        }

    def clip(name: str, title: str, count: int, fake: bool, group: str) -> dict:
        return {
            "id": name, "title": title, "group": group, "fake": fake, "frames": list(range(count)),
            "seconds": [round(0.04 * n, 3) for n in range(count)],
            "originals": [f"original-{n}.webp" for n in range(count)],
            "truth": [f"truth-{n}.webp" for n in range(count)] if fake else None,
            "detectors": {
                "xception": detector(["block4", "block12"], count, fake, True),
                "flow-vgg11": detector(["features.9"], count, fake, not fake),
            },
        }  # fmt: skip

    methods = [
        {"id": "viba", "name": "VIBA", "unit": "bits per pixel", "about": "In bits."},
        {"id": "grad-cam", "name": "Grad-CAM", "unit": "", "about": "No unit."},
    ]
    detectors = [
        {"id": "xception", "name": "Xception", "input": "face crop",
         "layers": [{"id": "block4", "paper": True}, {"id": "block12", "paper": False}]},
        {"id": "flow-vgg11", "name": "VGG11", "input": "flow",
         "layers": [{"id": "features.9", "paper": True}]},
    ]  # fmt: skip
    title = 'Spatial fake: <img src=x onerror=alert(1)> & "mouth" – ' + "long_name_" * 8
    return {
        "version": 2, "profile": "tiny", "note": "made for tests", "seed": 0, "side": SIDE,
        "colours": ["#000004", "#fcffa4"], "detectors": detectors, "methods": methods,
        "clips": [clip("real-0", "Real", 3, False, "Person <b>Ann</b>"),
                  clip("fake 1&2", title, 5, True, WORST)],
    }  # fmt: skip


def page_in(folder: Path, data: dict | None) -> Path:
    """The raw HTML of the book's page, laid out as the built book is."""
    text = (ROOT / "book" / "viewer.md").read_text(encoding="utf-8")
    found = re.search(r"```\{raw\} html\n(.*?)```", text, re.DOTALL)
    assert found is not None
    (folder / "book").mkdir(parents=True)
    static = folder / "_static"
    (static / "viewer").mkdir(parents=True)
    for name in ("viewer.js", "viewer.css"):
        shutil.copyfile(ROOT / "book" / "_static" / name, static / name)
    if data is not None:
        (static / "viewer" / DATA).write_text(script(data), encoding="utf-8")
        picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
        for name in named_pictures(data):
            (static / "viewer" / name).write_bytes(encode_all({"a": picture})["a"])
    page = folder / "book" / "viewer.html"
    page.write_text(PAGE.format(found[1]), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a viewer of made data; at the end, nothing may have gone wrong in it."""
    contexts, problems, numbers = [], [], itertools.count()

    def opening(data: dict | None = None, hash_: str = "", html: Path | None = None, **settings):
        if html is None:
            html = page_in(tmp_path / str(next(numbers)), data or made_manifest())
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("requestfailed", lambda r: problems.append(f"not loaded: {r.url}"))
        page.goto(html.as_uri() + hash_)
        page.wait_for_selector("#viba-viewer .vv-stage")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert not problems


def said(page) -> str:
    return page.locator("#vv-status").inner_text()


def chosen(page) -> dict[str, str]:
    names = ("clip", "detector", "method", "layer")
    return {name: page.locator(f"#vv-{name}").input_value() for name in names}


def test_it_begins_with_a_fake_and_says_its_numbers(opened):
    page = opened()
    assert chosen(page) == {"clip": "fake 1&2", "detector": "xception", "method": "viba",
                            "layer": "block4"}  # fmt: skip
    assert said(page) == (
        "Frame 1 of 5, 0.00 s: p(fake) 0.05, 101 bits, 0 % inside the planted region "
        "(20 % by chance)."
    )
    assert page.locator("#vv-status").get_attribute("aria-live") == "polite"
    page.wait_for_function(
        "() => [...document.querySelectorAll('.vv-frame img')].filter(i => i.offsetParent)"
        ".every(i => i.complete && i.naturalWidth > 0)"
    )
    assert page.locator(".vv-image:visible").count() == 3  # the face is what Xception sees
    for image in page.locator(".vv-image:visible").all():
        assert "frame 1 of 5" in (image.get_attribute("alt") or "").lower()


def test_data_are_text_and_never_html(opened):
    page = opened()
    assert page.locator("#viba-viewer img[src='x']").count() == 0
    assert "<img src=x onerror" in page.locator("#vv-clip option:checked").inner_text()


def test_clips_stand_under_their_person(opened):
    page = opened()
    groups = page.locator("#vv-clip optgroup")
    assert [group.get_attribute("label") for group in groups.all()] == ["Person <b>Ann</b>", WORST]
    assert groups.first.locator("option").all_inner_texts() == ["Real"]
    assert f"{WORST}, clip fake 1&2." in page.locator(".vv-about").first.inner_text()
    data = made_manifest()
    data["clips"][1]["group"] = data["clips"][0]["group"]
    assert opened(data).locator("#vv-clip optgroup > option").count() == 2
    assert opened(data).locator("#vv-clip optgroup").count() == 1


def test_each_choice_changes_what_is_shown(opened):
    page = opened()
    page.get_by_label("Injection layer", exact=True).select_option("block12")
    assert "viba-bloc" in (page.get_by_alt_text("Relevance by VIBA").get_attribute("src") or "")
    assert "at block12. Frame 1 of 5" in said(page)
    page.get_by_label("Method", exact=True).select_option("grad-cam")
    # Grad-CAM has no map at block 12: its layer follows, and it has no bits.
    assert chosen(page)["layer"] == "block4" and "bits" not in said(page)
    assert "no unit" in page.locator(".vv-scale").inner_text()
    assert page.locator("#vv-layer option[disabled]").all_inner_texts() == ["block12"]
    assert not page.locator(".vv-chart.vv-bits").is_visible()
    page.get_by_label("Detector", exact=True).select_option("flow-vgg11")
    assert chosen(page) == {"clip": "fake 1&2", "detector": "flow-vgg11", "method": "grad-cam",
                            "layer": "features.9"}  # fmt: skip
    assert page.locator(".vv-image:visible").count() == 4
    assert "not judged" in page.locator(".vv-about").first.inner_text()
    page.get_by_label("Clip", exact=True).select_option("real-0")
    assert "Frame 1 of 3" in said(page) and "inside" not in said(page)
    assert page.get_by_text("Real: nothing was planted.").is_visible()
    assert not page.get_by_label("Outline the planted region").is_visible()


def test_keys_step_and_buttons_do_too(opened):
    page = opened()
    page.locator(".vv-stage").focus()
    for key, frame in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 5),
                       ("ArrowRight", 5), ("Home", 1), ("ArrowLeft", 1)):  # fmt: skip
        page.keyboard.press(key)
        assert said(page).startswith(f"Frame {frame} of 5"), key
    for name, frame in (("Next", 2), ("Last", 5), ("Back", 4), ("First", 1)):
        page.get_by_role("button", name=name, exact=True).click()
        assert said(page).startswith(f"Frame {frame} of 5"), name
    page.get_by_label("Frame", exact=True).press("ArrowRight")
    page.get_by_label("Frame", exact=True).press("ArrowRight")
    assert said(page).startswith("Frame 3 of 5, 0.08 s: p(fake) 0.45, 201 bits, 20 % inside")
    assert page.locator(".vv-table tr[aria-current] th").text_content() == "3"
    assert page.locator(".vv-chart.vv-p desc").text_content() == (
        "From 0.05 to 0.85 in 5 frames; now 0.45."
    )


def test_a_list_keeps_its_own_keys_and_no_key_turns_the_page(opened):
    page = opened()
    page.evaluate("() => { window.heard = []; document.addEventListener('keydown',"
                  " e => window.heard.push(e.key)); }")  # fmt: skip
    page.get_by_label("Clip", exact=True).focus()
    page.keyboard.press("ArrowUp")
    page.locator(".vv-stage").focus()
    for key in ("ArrowRight", "ArrowLeft", "Home", "End", " ", " "):
        page.keyboard.press(key)
    assert page.evaluate("window.heard") == []
    assert chosen(page)["clip"] == "real-0"


def test_it_plays_to_the_end_and_can_be_paused(opened):
    page = opened()
    play = page.locator(".vv-buttons button").nth(2)
    page.wait_for_timeout(1200)
    assert said(page).startswith("Frame 1 of 5") and play.inner_text() == "Play"  # never by itself
    page.locator(".vv-stage").focus()
    page.keyboard.press(" ")
    assert play.inner_text() == "Pause"
    assert page.locator("#vv-status").get_attribute("aria-live") == "off"
    page.wait_for_function("() => document.querySelector('#vv-status').innerText.includes('2 of')")
    play.click()
    assert play.inner_text() == "Play"
    page.wait_for_timeout(1200)
    assert said(page).startswith("Frame 2 of 5")
    assert page.locator("#vv-status").get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Last").click()
    play.click()  # at the end it begins again
    assert said(page).startswith("Frame 1 of 5")
    page.wait_for_function("() => document.querySelectorAll('.vv-buttons button')[2].innerText"
                           " === 'Play'", timeout=10_000)  # fmt: skip
    page.wait_for_timeout(100)
    assert said(page).startswith("Frame 5 of 5")


def test_the_outline_goes_over_the_map(opened):
    page = opened()
    over = page.locator(".vv-panel:has-text('Relevance') .vv-over")
    assert not over.is_visible()
    page.get_by_label("Outline the planted region").check()
    assert over.is_visible() and "truth-0" in (over.get_attribute("src") or "")


def test_a_click_into_a_chart_goes_to_its_frame(opened):
    page = opened()
    box = page.locator(".vv-chart.vv-p").bounding_box()
    page.mouse.click(box["x"] + 0.95 * box["width"], box["y"] + 20)
    assert said(page).startswith("Frame 5 of 5")


def test_a_view_can_be_linked(opened):
    page = opened()
    assert "#" not in page.url
    page.get_by_label("Injection layer", exact=True).select_option("block12")
    page.get_by_role("button", name="Last").click()
    hash_ = page.url[page.url.index("#") :]
    other = opened(hash_=hash_)
    assert chosen(other) == chosen(page) and said(other).startswith("Frame 5 of 5")
    other.evaluate("location.hash = '#clip=real-0&frame=2'")
    other.wait_for_function("() => document.querySelector('#vv-clip').value === 'real-0'")
    assert "Frame 2 of 3" in said(other)


def test_a_link_that_means_nothing_leads_to_the_beginning(opened):
    page = opened(hash_="#clip=nobody&detector=__proto__&method=&layer=%3Cb%3E&frame=-7")
    assert chosen(page)["clip"] == "fake 1&2" and said(page).startswith("Frame 1 of 5")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_aside(opened, theme):
    page = opened(viewport=PHONE, reduced_motion="reduce")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    page.get_by_label("Detector", exact=True).select_option("flow-vgg11")
    page.locator("summary").click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    for image in page.locator(".vv-image:visible").all():
        assert image.bounding_box()["width"] > 300
    for control in page.locator("#viba-viewer :is(select, button)").all():
        assert control.bounding_box()["height"] >= 38
    # What is chosen in a list is not cut off: the arrow and the edges take 40 pixels.
    for name in ("detector", "method", "layer"):
        chosen_text = page.locator(f"#vv-{name} option:checked").inner_text()
        assert 8.5 * len(chosen_text) < page.locator(f"#vv-{name}").bounding_box()["width"] - 40


def test_on_a_phone_the_buttons_stay_in_sight_beside_the_images(opened):
    page = opened(viewport=PHONE, has_touch=True)
    for image in page.locator(".vv-image:visible").all():
        image.scroll_into_view_if_needed()
        for name in ("Back", "Play", "Next"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE["height"]
            assert box["height"] >= 44  # pixels of a thumb
    page.get_by_role("button", name="Next", exact=True).tap()
    assert said(page).startswith("Frame 2 of 5")


def test_on_a_desktop_the_panels_stand_in_one_row(opened):
    page = opened(viewport={"width": 1400, "height": 900})
    page.get_by_label("Detector", exact=True).select_option("flow-vgg11")
    boxes = [panel.bounding_box() for panel in page.locator(".vv-panel:visible").all()]
    assert len(boxes) == 4 and len({round(box["y"]) for box in boxes}) == 1
    assert (
        sum(box["width"] for box in boxes) > 0.9 * page.locator(".vv-stage").bounding_box()["width"]
    )


def test_every_control_is_reached_by_tab_and_its_focus_seen(opened):
    page, names = opened(), []
    for _ in range(14):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e); return ["
            "e.id || e.textContent.slice(0, 20) || e.className, s.outlineStyle, s.outlineWidth]; }"
        )
        if found[0] not in names:
            names.append(found[0])
            if page.evaluate("() => document.activeElement !== document.body"):
                assert found[1:] == ["solid", "3px"], found
    for name in ("vv-clip", "vv-detector", "vv-method", "vv-layer", "vv-frame", "vv-outline",
                 "First", "Back", "Play", "Next", "Last", "Numbers of all frame"):  # fmt: skip
        assert name in names


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(opened, theme):
    page = opened()
    page.evaluate(
        """theme => { document.documentElement.dataset.theme = theme;
        document.body.style.background = theme === 'dark' ? '#14181e' : '#fff'; }""",
        theme,
    )
    page.locator("summary").click()
    assert violations(page) == []


def test_missing_data_are_said(browser, tmp_path):
    page = browser.new_page()
    html = page_in(tmp_path / "book", None)
    page.goto(html.as_uri())
    page.wait_for_selector(".vv-missing")
    assert "made when the whole book is built" in page.locator(".vv-missing").inner_text()
    link = page.get_by_role("link", name="Relevance videos").get_attribute("href")
    assert link == "../notebooks/07_relevance_videos.html"
    page.close()


def test_without_scripts_the_page_leads_to_the_relevance_videos(browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_in(tmp_path / "book", made_manifest()).as_uri())
    assert "needs JavaScript" in page.locator("noscript p").inner_text()
    assert page.locator("noscript a").is_visible()
    context.close()


@pytest.mark.network
def test_the_built_data_are_shown(opened, viewer, manifest, tmp_path):
    html = page_in(tmp_path / "real", None)
    shutil.copytree(viewer, tmp_path / "real" / "_static" / "viewer", dirs_exist_ok=True)
    page = opened(html=html)
    for clip, detector, _, series in every_series(manifest):
        for name, value in (("clip", clip["id"]), ("detector", detector),
                            ("method", series["method"]), ("layer", series["layer"])):  # fmt: skip
            page.locator(f"#vv-{name}").select_option(value)
        assert f"Frame 1 of {len(clip['frames'])}" in said(page)
        page.wait_for_function(
            "name => { const i = document.querySelector(`img[src$='${name}']`);"
            " return i && i.complete && i.naturalWidth > 0; }", arg=series["pictures"][0],
        )  # fmt: skip


def test_the_library_knows_no_browser():
    # Whoever makes the data needs neither Playwright nor the book's tools.
    code = "import sys, viba_lib.book.viewer; sys.exit('playwright' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
