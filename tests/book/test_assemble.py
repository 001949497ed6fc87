"""The assembled book: only what changed is written, and markers are filled."""

import nbformat
import yaml
from nbformat import v4

from viba_lib.book import assemble
from viba_lib.core.cache import write_meta


def test_only_what_changed_is_written(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Hello")
    (tmp_path / "book" / "old.md").write_text("# Old")
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    executed = tmp_path / "01_information_bottleneck.ipynb"
    cells = [v4.new_markdown_cell("# One\n\n<!-- time -->"), v4.new_code_cell("1 + 1")]
    nbformat.write(v4.new_notebook(cells=cells), executed)
    folder = assemble.assemble([executed], tmp_path)
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    (tmp_path / "book" / "old.md").unlink()
    (tmp_path / "book" / "index.md").write_text("# Hello again")
    card = tmp_path / "card.md"
    card.write_text("# Card")
    assemble.assemble([executed], tmp_path, {"book/data_card.md": card})
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


def test_published_notebooks_have_no_hidden_tests(tmp_path):
    executed = tmp_path / "01_information_bottleneck.ipynb"
    secret = v4.new_code_cell("assert secret == 1", metadata={"tags": ["hidden", "remove-cell"]})
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# One"), secret]), executed)
    files = assemble.chapter_files(executed, tmp_path, ())
    assert not [name for name, text in files.items() if "secret" in text]


def test_another_table_of_contents_forgets_built_pages(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    assemble.assemble([], tmp_path)
    html = tmp_path / "_build" / "html"
    html.mkdir()
    assemble.assemble([], tmp_path)
    assert html.is_dir()
    (tmp_path / "_toc.yml").write_text("root: book/other")
    assemble.assemble([], tmp_path)
    assert not html.exists()


def test_another_title_forgets_built_pages_because_every_sidebar_shows_it(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    executed, cell = tmp_path / "01_information_bottleneck.ipynb", v4.new_markdown_cell
    html = tmp_path / "_build" / "html"

    def built(card, title, text="one"):
        (tmp_path / "book" / "index.md").write_text(f"# Start\n\n{text}")
        cells = [cell(f"# {title}\n\n{text}", id="a"), v4.new_code_cell("# one", id="b")]
        nbformat.write(v4.new_notebook(cells=cells), executed)
        assemble.assemble([executed], tmp_path, {"book/data_card.md": f"# Card of {card}\n"})
        kept = html.is_dir()
        html.mkdir(parents=True, exist_ok=True)
        return kept

    built("quick", "Bits")
    assert built("quick", "Bits", "two")
    assert not built("standard", "Bits")
    assert not built("standard", "More bits")
    assert built("standard", "More bits")


def test_pages_and_settings_have_the_address_of_the_repository(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "running.md").write_text("git clone ADDRESS-OF-THE-REPOSITORY viba")
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {path_to_book: ''}")
    monkeypatch.setenv("VIBA_REPOSITORY", "git@example.org:someone/viba.git")
    folder = assemble.assemble([], tmp_path)
    config = yaml.safe_load((folder / "_config.yml").read_text())
    assert config["repository"]["url"] == "https://example.org/someone/viba"
    page = (folder / "book" / "running.md").read_text()
    assert page == "git clone https://example.org/someone/viba viba"


def test_times_are_read_and_said(tmp_path):
    for profile, seconds in (("quick", 200.0), ("standard", 31.0)):
        folder = tmp_path / profile / "chapters" / "01_one" / "key"
        folder.mkdir(parents=True)
        write_meta(folder, {"seconds": seconds}, {})
    found = assemble.running_seconds("01_one", tmp_path)
    assert found == {"quick": 200.0, "standard": 31.0}
    words = "word " * 1000
    hidden = "```{solution-start} ex\n```\n" + words * 9 + "\n```{solution-end}\n```"
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(words), v4.new_markdown_cell(hidden)])
    line = assemble.time_line(notebook, found)
    assert "about 5 minutes" in line and "3 min at `quick`, 31 s at `standard`" in line
    assert "not timed here: `paper`" in line
    assert "Running: not timed;" in assemble.time_line(notebook, {})


def test_markers_are_filled(tmp_path):
    (tmp_path / "book").mkdir()
    marks = f"{assemble.PDF}|{assemble.VIDEO}|{assemble.MATERIALS}"
    (tmp_path / "book" / "index.md").write_text(marks)
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    film = tmp_path / "xception-fake.mp4"
    film.write_bytes(b"film")
    page = assemble.assemble([], tmp_path) / "book" / "index.md"
    assert page.read_text().startswith("||| Chapter")
    made = {"book/_static/videos/xception-fake.mp4": film}
    assemble.assemble([], tmp_path, made, pdf=True)
    text = page.read_text()
    assert "viba.pdf" in text and "<video controls" in text and "aria-label=" in text
    assert "autoplay" not in text
