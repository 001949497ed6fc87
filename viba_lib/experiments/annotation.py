"""A form to annotate, clip by clip, the regions that look fake (`10_human_agreement`)."""

import hashlib
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets  # in the extra `book`
import numpy as np
import pandas as pd
from filelock import FileLock

from viba_lib.core.cache import digest
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256, user_path, write_text
from viba_lib.data.catalog import segment
from viba_lib.evaluation.agreement import REGIONS
from viba_lib.experiments.human_agreement import read_annotations
from viba_lib.experiments.relevance_videos import preview
from viba_lib.pipeline.select import select
from viba_lib.visual.overlay import video_html

COLUMNS = ["annotator", "video", "regions"]


def clips_to_annotate(rows: pd.DataFrame, count: int, with_real: bool = False) -> list[str]:
    """Identifiers of the test videos that are compared with maps.

    Parameters
    ----------
    rows : frames that are explained, of all detectors
    count : at most this many videos, of all methods and people in turn (the paper: 27)
    with_real : real videos as well; the paper shows fakes only
    """
    label = None if with_real else 1
    turns: dict[str, Any] = {"order": "person", "in_turn": True}
    chosen = select(rows, label=label, videos=count, per_video=1, **turns)
    return chosen.video_id.tolist()


class AnnotationSession:
    """The clips and answers of one annotator; each answer is saved immediately.

    Parameters
    ----------
    path : CSV with annotator, video, regions; answers of other annotators stay in it
    annotator : name or number of the annotator
    videos : identifiers of the clips

    Raises
    ------
    VibaError
        No name, no clips, or a file that is not a table of annotations.
    """

    def __init__(self, path: str | Path, annotator: str, videos: Sequence[str]) -> None:
        self.path, self.annotator = user_path(path), annotator.strip()
        if not self.annotator:
            raise VibaError("the annotator has no name; give one, such as ann1")
        if not videos:
            raise VibaError("there is no clip to annotate; the test split holds no fake video")
        # Each annotator has a different order of clips, which is the same after a break.
        seed = int.from_bytes(hashlib.sha256(self.annotator.encode()).digest()[:8], "big")
        order = np.random.default_rng(seed).permutation(len(videos))
        self.videos = [str(sorted(videos)[i]) for i in order]
        mine = self._table()
        mine = mine[mine.annotator == self.annotator]
        self.answers = dict(zip(mine.video, mine.regions, strict=True))
        self.at = next((i for i, v in enumerate(self.videos) if v not in self.answers), 0)

    def _table(self) -> pd.DataFrame:
        if not self.path.is_file():
            return pd.DataFrame(columns=COLUMNS, dtype=str)
        return read_annotations(self.path)

    @property
    def video(self) -> str:
        """The current clip."""
        return self.videos[self.at]

    @property
    def done(self) -> int:
        """Number of clips with an answer."""
        return sum(video in self.answers for video in self.videos)

    def progress(self) -> pd.DataFrame:
        """Answers of all annotators in the file.

        Returns
        -------
        annotator, clips (with an answer), marked (mean number of regions).
        """
        table = self._table().assign(marked=lambda t: t.regions.str.len())
        groups = table.groupby("annotator", as_index=False)
        return groups.agg(clips=("video", "size"), marked=("marked", "mean"))

    def answer(self, regions: Sequence[str]) -> None:
        """Save the answer to the current clip; it replaces an earlier one.

        Parameters
        ----------
        regions : letters of REGIONS; none = nothing looks fake

        Raises
        ------
        VibaError
            A letter that is not in REGIONS.
        """
        if unknown := set(regions) - set(REGIONS):
            raise VibaError(f"regions {sorted(unknown)} are not known; expected {list(REGIONS)}")
        letters = "".join(k for k in REGIONS if k in set(regions))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):  # two annotators may answer at the same time
            table = self._table()
            old = (table.annotator == self.annotator) & (table.video == self.video)
            new = pd.DataFrame([[self.annotator, self.video, letters]], columns=COLUMNS)
            both = pd.concat([table[~old], new]).fillna("")  # a user's own columns stay
            write_text(self.path, both.to_csv(index=False))
        self.answers[self.video] = letters

    def move(self, step: int) -> None:
        """Go to another clip, at most to the first or last one."""
        self.at = min(max(self.at + step, 0), len(self.videos) - 1)


def progress_text(progress: pd.DataFrame, clips: int) -> str:
    """How many annotators and clips `AnnotationSession.progress` has, and what this allows.

    Parameters
    ----------
    clips : number of clips to annotate
    """
    if progress.empty:
        return "Nobody has answered yet, so there is no result of annotators."
    people = ", ".join(
        f"{row.annotator} {row.clips} of {clips} clips with {row.marked:.1f} regions on average"
        for row in progress.itertuples()
    )
    # Of two random sets, the larger one decides the expected overlap: see the exercise.
    by_chance = progress.marked.max() / len(REGIONS)
    text = (
        f"Annotators with answers: {len(progress)} ({people}). Random answers with these numbers "
        f"of regions would have an overlap of {by_chance:.2f} at most on average."
    )
    if len(progress) < 2:
        return f"{text} The agreement between annotators needs two or more."
    return f"{text} Their agreement beyond chance is computed if `annotations` names their file."


def clip_html(row: pd.Series, root: Path, folder: Path) -> str:
    """`<video>` element of a clip, without anything that reveals its label or method.

    Parameters
    ----------
    row : of the catalog
    root : folder that its path is relative to
    folder : receives the video
    """
    source, start, end = segment(row, root)
    # The name changes with the content: another seed makes other clips with the same identifiers.
    content = file_sha256(source) if source.is_file() else ""  # `preview` reports a missing file
    name = digest([row.video_id, content, start, end])[:12]
    path = folder / f"{name}.mp4"
    if not path.is_file():
        preview(row, root, path)
    return video_html(path, "The clip to annotate", loop=True)


class AnnotationForm:
    """Video, six buttons for regions, and buttons to move: the value of a cell shows the form.

    Parameters
    ----------
    html_of : HTML of a clip by its identifier, see `clip_html`
    """

    def __init__(self, session: AnnotationSession, html_of: Callable[[str], str]) -> None:
        self.session, self.html_of = session, html_of
        self.video, self.state = widgets.HTML(), widgets.HTML()
        wide = widgets.Layout(width="17em")
        self.regions = {
            letter: widgets.ToggleButton(description=f"{letter}: {name}", layout=wide, tooltip=name)
            for letter, name in REGIONS.items()
        }
        self.back = widgets.Button(description="Back")
        self.next = widgets.Button(description="Save and go on", button_style="primary")
        self.back.on_click(lambda _: self._go(-1))
        self.next.on_click(lambda _: self._save())
        rows = widgets.Layout(grid_template_columns="repeat(auto-fit, 17.5em)")
        self.widget = widgets.VBox([
            self.video,
            widgets.HTML("<b>Which regions look fake?</b> None, one or several."),
            widgets.GridBox(list(self.regions.values()), layout=rows),
            widgets.HBox([self.back, self.next]),
            self.state,
        ])  # fmt: skip
        self._show()

    def _repr_mimebundle_(self, **given: object) -> object:
        return self.widget._repr_mimebundle_(**given)

    def _save(self) -> None:
        chosen = [letter for letter, button in self.regions.items() if button.value]
        try:
            self.session.answer(chosen)
        except (VibaError, OSError) as error:  # a traceback would not appear in the form
            self.state.value = f"<b>Not saved:</b> {html.escape(str(error))}"
            return
        self._go(1)

    def _go(self, step: int) -> None:
        self.session.move(step)
        self._show()

    def _show(self) -> None:
        session = self.session
        self.video.value = self.html_of(session.video)
        given = session.answers.get(session.video, "")
        for letter, button in self.regions.items():
            button.value = letter in given
        self.back.disabled = session.at == 0
        words = f"Clip {session.at + 1} of {len(session.videos)}; {session.done} answered"
        if session.done == len(session.videos):
            words += ". <b>All are answered, thank you.</b>"
        self.state.value = f"{words}. Saved in <code>{html.escape(session.path.name)}</code>."
