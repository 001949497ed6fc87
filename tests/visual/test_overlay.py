"""Heat over frames, back at the face's place, and in a video that browsers play."""

import base64
import re

import av
import cv2
import numpy as np
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.data.flow import flow_to_rgb
from viba_lib.data.video import read_video
from viba_lib.visual.overlay import (
    colours,
    overlay_video,
    painted,
    paste_back,
    poster,
    video_html,
    with_note,
    with_scale,
)

grey = np.full((3, 40, 60, 3), 128, np.uint8)


def test_no_relevance_only_darkens_and_high_relevance_covers():
    nothing, much = colours(grey[0], np.zeros((4, 4)), 1.0), colours(grey[0], np.ones((4, 4)), 1.0)
    assert nothing.shape == grey[0].shape and nothing.dtype == np.uint8
    assert np.ptp(nothing, axis=2).max() <= 3, "grey stays grey"
    assert np.ptp(much, axis=2).min() > 40, "heat has a colour"


@pytest.mark.parametrize("square", [(30, 20, 16), (58, 2, 16)], ids=["inside", "over the border"])
def test_paste_back_puts_the_map_on_the_face(square):
    cx, cy, side = square
    pasted = paste_back((40, 60), np.array(square), np.ones((16, 16)))
    assert pasted.shape == (40, 60)
    rows, columns = np.nonzero(pasted > 0.5)
    assert abs(rows.min() - max(0, cy - side / 2)) <= 1
    assert abs(columns.max() - min(59, cx + side / 2)) <= 1
    assert pasted[20, 10] == 0


def test_under_a_map_motion_to_all_sides_is_equally_grey():
    around = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    flow = np.stack([np.cos(around), np.sin(around)], -1).reshape(8, 8, 2).astype(np.float32)
    shown = colours(flow_to_rgb(flow, 1.0), np.zeros((8, 8)), 1.0).astype(int)
    assert np.ptp(shown) <= 3 and shown.min() > 100, "neither hue nor brightness of a direction"


def test_paste_back_inverts_a_crop():
    relevance = cv2.GaussianBlur(np.random.default_rng(0).random((32, 32)), (0, 0), 3)
    pasted = paste_back((120, 160), np.array([80, 60, 64]), relevance)
    again = cv2.resize(pasted[28:92, 48:112], (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(again[2:-2, 2:-2], relevance[2:-2, 2:-2], atol=0.03)


def test_the_video_is_h264_with_a_strip(tmp_path):
    relevance = np.random.default_rng(0).random((3, 8, 8))
    plain = overlay_video(tmp_path / "plain.mp4", grey, relevance, 5)
    path = overlay_video(tmp_path / "strip.mp4", grey, relevance, 5, np.array([0.1, 0.9, 0.5]))
    shown = read_video(plain).frames
    assert shown.shape[:2] == grey.shape[:2] and shown.shape[2] > 60, "a colour bar beside"
    found = read_video(path)
    assert found.frames.shape == (3, 76, shown.shape[2], 3) and found.rate == 5
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


def test_controls_over_the_lower_edge_hide_no_prediction():
    maps, p_fake = np.ones((3, 8, 8)), np.array([0.1, 0.9, 0.5])
    plain = list(painted(grey, maps, 1.0))
    for note in ("", "outside the training domain"):
        shown = list(painted(grey, maps, 1.0, p_fake, note))
        for image, alone in zip(shown, plain, strict=True):
            assert (image[-len(alone) :] == alone).all(), "the picture ends the image"


@pytest.mark.parametrize("width", [130, 330, 640])
def test_the_curve_does_not_run_through_the_number(width):
    frames, p_fake = np.zeros((3, 300, width, 3), np.uint8), np.array([0.98, 0.5, 0.02])
    for image in painted(frames, np.zeros((3, 8, 8)), 1.0, p_fake):
        strip = image[: len(image) - 300].astype(int)
        curve = np.flatnonzero((strip[..., 0] - strip[..., 2] > 100).any(axis=0))
        letters = np.argwhere((strip.min(axis=2) > 100)[:, : curve[0] - 5])
        assert len(letters) > 30 and curve[-1] > 0.9 * image.shape[1]
        # Letters of a wide video can be read on a phone, where it is shown at half its width.
        assert np.ptp(letters[:, 0]) >= min(14, 0.03 * image.shape[1])


def test_as_many_maps_as_frames_are_needed(tmp_path):
    with pytest.raises(VibaError, match="as many"):
        overlay_video(tmp_path / "a.mp4", grey, np.ones((2, 8, 8)), 5)
    assert not list(tmp_path.iterdir())


def test_the_element_has_a_poster_and_a_name_and_does_not_start(tmp_path):
    path = overlay_video(tmp_path / "a.mp4", grey, np.ones((3, 8, 8)), 5)
    text = video_html(path, 'a "fake" <video>')
    assert "controls" in text and 'preload="none"' in text and "autoplay" not in text
    assert 'aria-label="a &quot;fake&quot; &lt;video&gt;"' in text
    film = re.search('data:video/mp4;base64,([^"]+)', text)
    assert film and base64.b64decode(film[1]) == path.read_bytes()
    still = re.search('data:image/jpeg;base64,([^"]+)', text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(still[1]), np.uint8), 1)
    assert picture.shape == read_video(path).frames.shape[1:]


def test_poster_keeps_every_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    path = poster(tmp_path / "deep" / "poster.png", image)
    assert (cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) == image).all()
    assert [p.name for p in path.parent.iterdir()] == ["poster.png"]


def test_the_frame_shows_where_relevance_is_low_and_colour_where_it_is_high():
    frame = np.full((40, 40, 3), 100, np.uint8)
    relevance = np.zeros((20, 20))
    relevance[:, 10:] = 1
    painted = colours(frame, relevance, 1.0).astype(int)
    assert np.abs(painted[:, 35:] - 100).mean() > 2 * np.abs(painted[:, :5] - 100).mean()
    assert (colours(frame, 10 * relevance, 10.0) == painted).all(), "scaled by the maximum"


def test_a_map_goes_back_to_its_place():
    pasted = paste_back((100, 200), np.array([150.0, 40.0, 40.0]), np.ones((10, 10)))
    assert pasted.shape == (100, 200)
    assert pasted[40, 150] == 1 and pasted[40, 100] == 0
    assert pasted.sum() == pytest.approx(1600, rel=0.15)


def test_a_video_with_its_strip_can_be_decoded_again(tmp_path):
    frames = np.zeros((5, 61, 81, 3), np.uint8)
    maps = np.random.default_rng(0).random((5, 30, 30))
    path = overlay_video(tmp_path / "o.mp4", frames, maps, 5.0, np.linspace(0, 1, 5))
    back = read_video(path).frames
    assert back.shape[0] == 5 and back.shape[1] > 61 and back.shape[2] > 82
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]


def test_what_reaches_html_is_escaped(tmp_path):
    path = overlay_video(
        tmp_path / "o.mp4", np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 8, 8)), 5.0
    )
    found = video_html(path, '"><script>alert(1)</script>')
    assert "<script>" not in found and "controls" in found and "autoplay" not in found


def test_the_colour_bar_runs_from_nothing_to_the_maximum(tmp_path):
    frames, maps = np.zeros((2, 120, 100, 3), np.uint8), np.zeros((2, 10, 10))
    path = overlay_video(tmp_path / "bar.mp4", frames, maps, 5, maximum=0.5)
    bar = read_video(path).frames[0][:, 112:124].astype(int).sum(2).mean(1)
    assert bar[40] > 500 and bar[100] < 150, "light above, dark below"
    other = overlay_video(tmp_path / "other.mp4", frames, maps, 5, maximum=4.0)
    difference = np.abs(read_video(path).frames[0].astype(int) - read_video(other).frames[0])
    assert difference[:, :124].max() < 30 < difference[:, 130:].max(), "other numbers beside it"


@pytest.mark.parametrize("height", [12, 24, 30, 34, 47])
def test_the_colour_bar_fits_beside_a_small_frame(height):
    found = with_scale(np.zeros((height, 40, 3), np.uint8), 1.0)
    assert found.shape == (height, 126, 3) and found[:, 50:66].max() > 200


@pytest.mark.parametrize("width", [120, 262, 726])
def test_a_note_is_readable_and_fits_above_the_picture(width):
    picture = np.full((40, width, 3), 128, np.uint8)
    shown = with_note(picture, 0.53, "outside the training domain")
    assert shown.shape == (62, width, 3) and (shown[22:] == picture).all()
    strip = shown[:22].astype(int).sum(2)
    written = strip > strip.min() + 200
    assert written.sum() > 100 and not written[:, -4:].any(), "bright letters, none cut off"


def test_the_note_is_on_every_frame_of_an_overlay():
    maps, p_fake = np.ones((3, 8, 8)), np.array([0.1, 0.9, 0.5])
    plain = list(painted(grey, maps, 1.0, p_fake))
    noted = list(painted(grey, maps, 1.0, p_fake, "outside the training domain"))
    amber = [picture[36:58, :, 0].astype(int) - picture[36:58, :, 2] for picture in noted]
    assert all(rows.max() > 100 for rows in amber)
    assert [p.shape[0] for p in noted] == [p.shape[0] + 22 for p in plain]
