"""A form in which a person marks, clip by clip, the regions that look fake (chapter 13)."""

import hashlib
import html
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.data.video import read_video
from viba_lib.evaluation.agreement import REGIONS
from viba_lib.experiments.human_agreement import read_annotations
from viba_lib.experiments.relevance_videos import clip_film
from viba_lib.pipeline.study import DETECTORS, Study
from viba_lib.visual.overlay import video_html

COLUMNS = ["annotator", "video", "regions"]


def clips_to_annotate(study: Study, count: int, with_real: bool = False) -> list[str]:
    """Identifiers of test videos that the maps are compared on.

    Parameters
    ----------
    count : at most so many, spread over the methods (the paper: 27)
    with_real : real videos as well; the paper shows fakes only
    """
    rows = pd.concat([study.evaluation_rows(detector) for detector in DETECTORS])
    rows = rows.drop_duplicates("video_id").sort_values("video_id")
    rows = rows if with_real else rows[rows.label == 1]
    turn = rows.groupby("method").cumcount()
    return rows.iloc[np.lexsort((rows.method, turn))].video_id.head(count).tolist()


class AnnotationSession:
    """One annotator's way through a set of clips; each answer is saved as it is given.

    Parameters
    ----------
    path : CSV with annotator, video, regions; the answers of others in it stay
    annotator : name or number of the person
    videos : identifiers of the clips

    Raises
    ------
    VibaError
        No name, no clips, or a file that is no table of annotations.
    """

    def __init__(self, path: str | Path, annotator: str, videos: Sequence[str]) -> None:
        self.path, self.annotator = Path(path), annotator.strip()
        if not self.annotator:
            raise VibaError("the annotator has no name; give one, such as ann1")
        if not videos:
            raise VibaError("there is no clip to annotate; the test split holds no fake video")
        # Everyone sees the clips in an order of their own, the same after a break.
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
        return read_annotations(self.path)[COLUMNS]

    @property
    def video(self) -> str:
        """The clip that is shown."""
        return self.videos[self.at]

    @property
    def done(self) -> int:
        """How many of the clips have an answer."""
        return sum(video in self.answers for video in self.videos)

    def progress(self) -> pd.DataFrame:
        """Answers of everyone in the file.

        Returns
        -------
        annotator, clips (with an answer), marked (mean number of regions).
        """
        table = self._table().assign(marked=lambda t: t.regions.str.len())
        found = table.groupby("annotator").agg(clips=("video", "size"), marked=("marked", "mean"))
        return found.reset_index()

    def answer(self, regions: Sequence[str]) -> None:
        """Save the answer to the clip that is shown, in place of an earlier one.

        Parameters
        ----------
        regions : letters of REGIONS; none = nothing looks fake
        """
        if unknown := set(regions) - set(REGIONS):
            raise VibaError(f"regions {sorted(unknown)} are not known; expected {list(REGIONS)}")
        letters = "".join(k for k in REGIONS if k in set(regions))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):  # two people may answer at a time
            table = self._table()
            old = (table.annotator == self.annotator) & (table.video == self.video)
            new = pd.DataFrame([[self.annotator, self.video, letters]], columns=COLUMNS)
            text = pd.concat([table[~old], new]).to_csv(index=False)
            write_text(self.path, text)
        self.answers[self.video] = letters

    def move(self, step: int) -> None:
        """Go to another clip; at the ends it stays."""
        self.at = min(max(self.at + step, 0), len(self.videos) - 1)


def film_html(study: Study, video_id: str) -> str:
    """`<video>` element of a clip, without anything that tells what it is."""
    name = hashlib.sha256(video_id.encode()).hexdigest()[:12]
    path = study.root / "annotation" / f"{name}.mp4"
    if not path.is_file():
        clip_film(study, video_id, path)
    still = read_video(path, max_frames=1).frames[0]
    return video_html(path, still, "The clip to annotate", loop=True)


def annotation_form(session: AnnotationSession, film: Callable[[str], str]) -> "Form":
    """The form as an ipywidgets widget: show it as the value of a cell.

    Parameters
    ----------
    film : HTML of a clip by its identifier, see `film_html`
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise VibaError("the form needs ipywidgets; install it with `pip install viba[book]`") \
            from error  # fmt: skip
    return Form(ipywidgets, session, film)


class Form:
    """Film, six buttons, and ways on and back; a notebook shows it as a widget."""

    def __init__(self, widgets, session: AnnotationSession, film: Callable[[str], str]) -> None:  # type: ignore[no-untyped-def]
        self.session, self.film = session, film
        self.picture, self.state = widgets.HTML(), widgets.HTML()
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
            self.picture,
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
        except (VibaError, OSError) as error:  # a cell's end would not show it to the person
            self.state.value = f"<b>Not saved:</b> {html.escape(str(error))}"
            return
        self._go(1)

    def _go(self, step: int) -> None:
        self.session.move(step)
        self._show()

    def _show(self) -> None:
        session = self.session
        self.picture.value = self.film(session.video)
        given = session.answers.get(session.video, "")
        for letter, button in self.regions.items():
            button.value = letter in given
        self.back.disabled = session.at == 0
        words = f"Clip {session.at + 1} of {len(session.videos)}; {session.done} answered"
        if session.done == len(session.videos):
            words += ". <b>All are answered, thank you.</b>"
        saved = html.escape(session.path.name)
        self.state.value = f"{words}. Answers are kept in <code>{saved}</code>."
