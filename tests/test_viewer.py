"""The viewer: a manifest whose pictures exist, and a page that works in a real browser."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from viba_lib import viewer
from viba_lib.book import browser
from viba_lib.data.sources.packages import QUICK_FILES, FetchError, fetch
from viba_lib.errors import VibaError
from viba_lib.study import DETECTORS, Study

BOOK = Path(__file__).parents[1] / "book"
CLIPS = pd.DataFrame(
    {
        "video_id": ["r1", "s1", "s2", "t1", "t2", "r2"],
        "kind": ["real", "spatial", "spatial", "temporal", "temporal", "real"],
        "take": ["r1", "r1", "r2", "r2", "r1", "r2"],
        "error": [0.1, 0.7, 0.2, 0.3, 0.9, 0.4],
    }
).assign(wrong=lambda c: c.error >= 0.5)


def test_clips_of_each_kind_come_first_then_the_worst():
    assert viewer.choose_clips(CLIPS) == ["r2", "s2", "t1", "t2"]
    assert viewer.choose_clips(CLIPS, most=2) == ["r2", "s2"]
    assert viewer.choose_clips(CLIPS[CLIPS.kind == "real"]) == ["r1", "r2"]


def test_an_outline_is_cyan_and_the_rest_is_clear():
    mask = np.zeros((64, 64), np.float32)
    mask[16:48, 16:48] = 1
    drawn = viewer.outline(mask)
    assert drawn.shape == (viewer.SIDE, viewer.SIDE, 4)
    assert tuple(drawn[56, 112][:3]) == viewer.CYAN and drawn[56, 112, 3] == 255
    assert drawn[112, 112, 3] == 0 and drawn[2, 2, 3] == 0
    assert not viewer.outline(np.zeros((8, 8), np.float32))[..., 3].any()


def test_pictures_fit_the_budget_or_are_refused():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    found = viewer.encode_all({"a.webp": noise}, budget=100_000)
    back = cv2.imdecode(np.frombuffer(found["a.webp"], np.uint8), cv2.IMREAD_COLOR)
    assert back.shape == (64, 64, 3)
    less = viewer.encode_all({"a.webp": noise}, budget=len(found["a.webp"]) - 1)
    assert len(less["a.webp"]) < len(found["a.webp"])
    with pytest.raises(VibaError, match="show fewer"):
        viewer.encode_all({"a.webp": noise}, budget=10)


def test_a_manifest_cannot_end_its_script():
    text = viewer.script({"title": "</script><b>", "n": [1.5, None]})
    assert "<" not in text
    inside = re.fullmatch(r"window\.VIBA_VIEWER = (.*);\n", text)
    assert json.loads(inside[1]) == {"title": "</script><b>", "n": [1.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        viewer.script({"n": float("nan")})


@pytest.fixture(scope="module")
def written(roots, tmp_path_factory) -> tuple[Path, dict]:
    try:
        fetch(QUICK_FILES, roots[0])
    except FetchError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("viewer")
    (folder / "old.webp").write_bytes(b"of an earlier run")
    path = viewer.write_viewer(Study("tiny", *roots), folder)
    text = path.read_text(encoding="utf-8")
    return folder, json.loads(text[text.index("{") : text.rindex(";")])


def names_of(manifest: dict) -> set[str]:
    return set(re.findall(r"[\w.-]+\.webp", json.dumps(manifest)))


@pytest.mark.network
def test_every_picture_is_there_and_none_is_left_over(written):
    folder, manifest = written
    assert names_of(manifest) == {p.name for p in folder.glob("*.webp")}
    assert sum(p.stat().st_size for p in folder.glob("*.webp")) <= viewer.BUDGET
    assert not (folder / "old.webp").exists()


@pytest.mark.network
def test_the_manifest_is_whole(written):
    _, manifest = written
    kinds = {c["title"].split(":")[0].split(" –")[0] for c in manifest["clips"]}
    assert {"Real", "Spatial fake", "Temporal fake"} <= kinds
    for clip in manifest["clips"]:
        count = len(clip["frames"])
        assert count and len(clip["seconds"]) == len(clip["originals"]) == count
        assert (clip["truth"] is not None) == clip["fake"]
        assert set(clip["detectors"]) == set(DETECTORS)
        for found in clip["detectors"].values():
            assert all(0 <= p <= 1 for p in found["p_fake"]) and len(found["p_fake"]) == count
            for series in found["series"]:
                assert len(series["pictures"]) == count and series["top"] > 0
                assert (series["bits"] is not None) == (series["method"] == "viba")
                assert all(x is None or 0 <= x <= 1 for x in series["inside"])


@pytest.fixture
def page(written, tmp_path):
    """The viewer's page in Chromium, from a folder, without a network."""
    found = browser.find_browser()
    if found is None:
        pytest.skip("no Chromium here")
    block = re.search(r"```\{raw\} html\n(.*?)```", (BOOK / "viewer.md").read_text(), re.DOTALL)
    (tmp_path / "book").mkdir()
    static = shutil.copytree(BOOK / "_static", tmp_path / "_static")
    shutil.copytree(written[0], static / "viewer")
    place = tmp_path / "book" / "viewer.html"
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Viewer</title>'
    head += '<meta name="viewport" content="width=device-width"></head><body><main><h1>Viewer</h1>'
    place.write_text(f"{head}{block[1]}</main></body></html>", encoding="utf-8")
    with browser.opened(found) as running:
        opened = running.new_page(viewport=browser.DESKTOP)
        errors: list[str] = []
        opened.on("pageerror", lambda e: errors.append(str(e)))
        opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        opened.goto(place.as_uri())
        opened.wait_for_selector("#vv-status")
        yield opened
        assert errors == []


def said(page) -> str:
    return page.inner_text("#vv-status")


def loaded(page) -> bool:
    page.wait_for_timeout(300)
    check = "() => [...document.querySelectorAll('#viba-viewer img')].filter(i => i.offsetParent)"
    return page.evaluate(f"{check[:-1]}).every(i => i.naturalWidth > 0)")


@pytest.mark.network
def test_every_choice_shows_pictures(page, written):
    assert said(page).startswith("Frame 1 of ") and "p(fake)" in said(page)
    for field in ("clip", "detector", "method", "layer"):
        options = page.locator(f"#vv-{field} option:not([disabled])")
        values = [options.nth(i).get_attribute("value") for i in range(options.count())]
        for value in values:
            page.select_option(f"#vv-{field}", value)
            assert loaded(page), (field, value)
            assert page.input_value(f"#vv-{field}") == value


@pytest.mark.network
def test_the_keyboard_steps_plays_and_pauses(page, written):
    count = len(written[1]["clips"][0]["frames"])
    page.focus(".vv-stage")
    page.keyboard.press("End")
    assert said(page).startswith(f"Frame {count} of {count}")
    page.keyboard.press("Home")
    assert said(page).startswith("Frame 1 of")
    page.keyboard.press("ArrowRight")
    assert said(page).startswith(f"Frame {min(2, count)} of")
    page.keyboard.press("ArrowLeft")
    assert said(page).startswith("Frame 1 of")
    button = page.get_by_role("button", name=re.compile("Play|Pause"))
    page.keyboard.press("Space")
    assert button.inner_text() == ("Pause" if count > 1 else "Play")
    page.keyboard.press("Space")
    assert button.inner_text() == "Play"


@pytest.mark.network
def test_a_view_can_be_linked_to(page):
    last = page.locator("#vv-clip option").last.get_attribute("value")
    page.select_option("#vv-clip", last)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#vv-status")
    assert page.input_value("#vv-clip") == last


@pytest.mark.network
def test_it_is_accessible_and_fits_a_phone(page):
    assert browser.violations(page) == []
    page.set_viewport_size(browser.PHONE)
    assert page.evaluate(browser._WIDER) == 0
