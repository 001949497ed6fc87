"""The checks of built pages must fail where something is wrong; staging touches only changes."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from nbformat import v4
from PIL import Image

from viba_lib.book import assemble as stage
from viba_lib.book import chapters as pairs
from viba_lib.book import checks, execute
from viba_lib.book import paths as places
from viba_lib.book.paths import BookError
from viba_lib.data.source_videos import STANDARD_FILES

GOOD = """<html><body><article id="top">
<div class="viba-banner">Not the paper's numbers</div>
<figure><img src="map.png" alt="A heat map over a mouth"><figcaption>A map</figcaption></figure>
<video controls aria-label="A talking face"></video>
<a href="#top">top</a> <a href="../index.html#start">start</a> <a href="https://example.org">far</a>
<details class="viba-provenance"><table><tr><td>seed 0</td></tr></table></details>
</article></body></html>"""


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """A built book of one good chapter."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "map.png").write_bytes(b"png")
    (tmp_path / "index.html").write_text("<html><body><p id='start'>Hello</p></body></html>")
    (tmp_path / "notebooks" / "01_one.html").write_text(GOOD)
    return tmp_path


def test_good_pages_pass(html):
    assert checks.page_problems(html) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('alt="A heat map over a mouth"', 'alt=""', "alt text"),
        ('alt="A heat map over a mouth"', "", "alt text"),
        ('alt="A heat map over a mouth"', 'alt="../_images/0a1b.png"', "alt text"),
        ("<figcaption>A map</figcaption>", "", "caption"),
        (" controls", "", "controls"),
        ("<video ", "<video autoplay ", "by itself"),
        (' aria-label="A talking face"', "", "description"),
        ('class="viba-provenance"', "", "provenance"),
        ("<table><tr><td>seed 0</td></tr></table>", "", "provenance"),
        ('class="viba-banner"', "", "banner"),
        ('href="#top"', 'href="#nowhere"', "dead link"),
        ("../index.html#start", "../index.html#end", "dead link"),
        ("../index.html#start", "../absent.html", "dead link"),
        ('src="map.png"', 'src="absent.png"', "dead link"),
        ("</article>", "<pre>Traceback (most recent call last):</pre></article>", "traceback"),
        ("</article>", '<div class="output stderr">warning</div></article>', "stderr"),
        ("</article>", f"{places.ROOT}/results</article>", "building machine"),
    ],
)
def test_bad_pages_fail(html, old, new, problem):
    assert old in GOOD
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace(old, new))
    assert any(problem in line for line in checks.page_problems(html))


def test_a_chapter_needs_a_figure(html):
    start, end = GOOD.index("<figure>"), GOOD.index("<a href")
    (html / "notebooks" / "01_one.html").write_text(GOOD[:start] + GOOD[end:])
    assert any("no figure" in line for line in checks.page_problems(html))


def test_the_paper_profile_needs_no_banner(html):
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace("viba-banner", ""))
    assert checks.page_problems(html, banner=False) == []


def test_chapters_that_were_not_built_are_told(html):
    with pytest.raises(BookError, match="05_injection_layer was not built"):
        checks.check(html)


def test_no_built_book(tmp_path):
    with pytest.raises(BookError, match="make book"):
        checks.check(tmp_path)


def cell(*outputs, count=1):
    return v4.new_code_cell("x", execution_count=count, outputs=list(outputs))


def test_problems_of_executed_notebooks():
    shown = v4.new_output("stream", name="stdout", text="3")
    assert execute.problems_of(v4.new_notebook(cells=[cell(shown)])) == []
    assert "output" in execute.problems_of(v4.new_notebook(cells=[cell()]))[0]
    assert (
        "not executed" in execute.problems_of(v4.new_notebook(cells=[cell(shown, count=None)]))[0]
    )
    noise = v4.new_output("stream", name="stderr", text="UserWarning")
    assert "stderr" in execute.problems_of(v4.new_notebook(cells=[cell(noise)]))[0]
    error = v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])
    assert "ValueError: bad" in execute.problems_of(v4.new_notebook(cells=[cell(error)]))[0]


@pytest.fixture
def chapter(tmp_path, monkeypatch) -> Path:
    """A repository of one chapter."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = folder / "01_one.py"
    source.write_text('# %% tags=["parameters"]\nprofile = "tiny"\nseed = 0\n\n# %%\nprint(seed)\n')
    monkeypatch.setattr(places, "ROOT", tmp_path)
    monkeypatch.setattr(places, "NOTEBOOKS", folder)
    return source


def test_a_chapter_runs_with_parameters(chapter, tmp_path):
    out = tmp_path / "out.ipynb"
    execute.run_chapter("1", ["seed=7"], out)
    printed = [o.text for c in nbformat.read(out, 4).cells for o in c.get("outputs", [])]
    assert printed == ["7\n"]
    assert str(tmp_path) not in out.read_text()
    with pytest.raises(BookError, match="expected int"):
        execute.run_chapter("1", ["seed=many"], out)


def test_a_failing_chapter_leaves_nothing(chapter, tmp_path):
    chapter.write_text(chapter.read_text() + "\n# %%\nraise ValueError('broken')\n")
    out = tmp_path / "out.ipynb"
    with pytest.raises(BookError, match="broken"):
        execute.run_chapter("1", [], out)
    assert not list(tmp_path.glob("*.ipynb")) and not list(tmp_path.glob(".*.ipynb"))


def test_staging_writes_only_what_changed(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Hello")
    (tmp_path / "book" / "old.md").write_text("# Old")
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    executed = tmp_path / "01_information_bottleneck.ipynb"
    cells = [v4.new_markdown_cell("# One\n\n<!-- time -->"), v4.new_code_cell("1 + 1")]
    nbformat.write(v4.new_notebook(cells=cells), executed)
    folder = stage.stage([executed], tmp_path)
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    (tmp_path / "book" / "old.md").unlink()
    (tmp_path / "book" / "index.md").write_text("# Hello again")
    card = tmp_path / "card.md"
    card.write_text("# Card")
    stage.stage([executed], tmp_path, {"book/data_card.md": card})
    assert (folder / "book" / "data_card.md").read_text() == "# Card"
    assert (folder / "book" / "index.md").read_text() == "# Hello again"
    assert not (folder / "book" / "old.md").exists()
    page = folder / "notebooks" / executed.name
    assert page.stat().st_mtime_ns == times[page]
    assert "Reading: about" in page.read_text() and "<!-- time -->" not in page.read_text()
    static = folder / "book" / "_static"
    assert (static / "teaching" / "student" / executed.name).is_file()
    assert (static / "teaching" / "slides" / f"{executed.stem}.html").is_file()
    assert (static / "executed" / executed.name).read_text() == executed.read_text()


def test_another_table_of_contents_forgets_built_pages(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    stage.stage([], tmp_path)
    html = tmp_path / "_build" / "html"
    html.mkdir()
    stage.stage([], tmp_path)
    assert html.is_dir()
    (tmp_path / "_toc.yml").write_text("root: book/other")
    stage.stage([], tmp_path)
    assert not html.exists()


def test_a_workflow_sets_the_address_of_launch_buttons(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/viba")
    monkeypatch.setenv("GITHUB_REF_NAME", "next")
    config = yaml.safe_load((stage.stage([], tmp_path) / "_config.yml").read_text())
    assert config["repository"] == {"url": "https://github.com/someone/viba", "branch": "next"}


def test_the_table_of_sources_is_that_of_the_library():
    page = (places.ROOT / "book" / "dataset.md").read_text(encoding="utf-8")
    assert pairs.with_sources(page) == page, "run `make notebooks`"
    assert page.count("SHA-256 `") == len(STANDARD_FILES) + 1


def test_times_are_read_and_said(tmp_path):
    for profile, seconds in (("quick", 200.0), ("standard", 31.0)):
        folder = tmp_path / profile / "chapters" / "key"
        folder.mkdir(parents=True)
        notebook = v4.new_notebook(metadata={"papermill": {"duration": seconds}})
        nbformat.write(notebook, folder / "01_one.ipynb")
    found = stage.running_seconds("01_one", tmp_path)
    assert found == {"quick": 200.0, "standard": 31.0}
    words = "word " * 1000
    hidden = "```{solution-start} ex\n```\n" + words * 9 + "\n```{solution-end}\n```"
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(words), v4.new_markdown_cell(hidden)])
    line = stage.time_line(notebook, found)
    assert "about 5 minutes" in line and "3 min at `quick`, 31 s at `standard`" in line
    assert "not timed here: `paper`" in line
    assert "Running: not timed;" in stage.time_line(notebook, {})


def test_markers_are_filled(tmp_path):
    (tmp_path / "book").mkdir()
    marks = f"{stage.PDF}|{stage.FILM}|{stage.MATERIALS}"
    (tmp_path / "book" / "index.md").write_text(marks)
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    film = tmp_path / "xception-fake.mp4"
    film.write_bytes(b"film")
    page = stage.stage([], tmp_path) / "book" / "index.md"
    assert page.read_text().startswith("||| Chapter")
    made = {"book/_static/films/xception-fake.mp4": film}
    stage.stage([], tmp_path, made, pdf=True)
    text = page.read_text()
    assert "viba.pdf" in text and "<video controls" in text and "aria-label=" in text
    assert "autoplay" not in text


@pytest.mark.parametrize(
    ("data", "found"), [({"text/plain": "3"}, 0), ({"text/plain": ""}, 1), ({"text/html": " "}, 1)]
)
def test_empty_outputs_are_found(data, found):
    output = v4.new_output("display_data", data=data)
    notebook = v4.new_notebook(cells=[cell(output)])
    assert len(list(execute.empty_outputs(notebook))) == found


def test_heavy_pages_and_dead_launch_buttons_are_found(html):
    button = (
        '<div class="dropdown-launch-buttons"><a href="https://x/notebooks/01_no.ipynb"></a></div>'
    )
    film = f'<video controls aria-label="x" src="data:{"a" * 6_000_000}"></video></article>'
    page = html / "notebooks" / "01_one.html"
    page.write_text(GOOD.replace("</article>", film))
    assert checks.page_problems(html) == []
    page.write_text(GOOD.replace("</article>", button + "b" * 6_000_000 + "</article>"))
    found = checks.page_problems(html)
    assert any("weighs 6" in line for line in found)
    assert any("01_no.ipynb, which does not exist" in line for line in found)


def test_heavy_pictures_are_made_lighter_and_others_left():
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 4), dtype=np.uint8)
    room = io.BytesIO()
    Image.fromarray(noise).save(room, "PNG")
    picture = base64.b64encode(room.getvalue()).decode()
    assert stage.lighter(picture) == picture
    less = base64.b64decode(stage.lighter(picture, 50_000))
    assert len(less) <= 50_000
    image = Image.open(io.BytesIO(less))
    assert image.mode == "RGBA" and abs(image.width / image.height - 1.5) < 0.05
