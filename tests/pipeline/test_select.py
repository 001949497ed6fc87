"""One function chooses frames: the same question gives the same frames in every chapter."""

import pandas as pd
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.pipeline.select import select


@pytest.fixture
def frames() -> pd.DataFrame:
    """Four real videos and two fakes of each of three methods, five frames each."""
    videos = [(f"real{i}", 0, "") for i in range(4)]
    videos += [(f"{m}{i}", 1, m) for m in ("mouth", "eyes", "chin") for i in range(2)]
    rows = [
        {"video_id": name, "label": label, "method": method, "split": "test", "position": p,
         "in_scope": method != "chin", "p_fake": label * (0.55 + 0.05 * p) + (1 - label) * 0.1 * p}
        for name, label, method in videos
        for p in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_everything_is_kept_without_rules(frames):
    assert len(select(frames)) == len(frames)


def test_filters_keep_the_split_the_label_and_what_the_detector_is_made_for(frames):
    train = frames.assign(split="train")
    both = pd.concat([frames, train], ignore_index=True)
    found = select(both, split="test", label=1, in_scope=True)
    assert set(found.split) == {"test"} and set(found.method) == {"mouth", "eyes"}


def test_frames_are_spread_evenly_and_in_time(frames):
    found = select(frames, per_video=3)
    assert found.groupby("video_id").position.apply(list).to_list() == [[0, 2, 4]] * 10
    first = select(frames, per_video=2, take="first")
    assert first.groupby("video_id").position.apply(list).to_list() == [[0, 1]] * 10


def test_methods_take_turns(frames):
    found = select(frames, label=1, in_turn=True, videos=4, per_video=1)
    assert found.method.to_list() == ["chin", "eyes", "mouth", "chin"]


def test_as_many_real_videos_as_fakes_of_all_methods(frames):
    found = select(frames, balanced=True, videos=8, per_video=1)
    assert (found.label == 0).sum() == 4 and found.method[found.label == 1].nunique() == 3


def test_wrong_decisions_come_last(frames):
    frames.loc[frames.video_id.isin(["mouth0", "eyes0"]), "p_fake"] = 0.2
    found = select(
        frames, label=1, order="random", correct_first=True, in_turn=True, take="chosen", seed=3
    )
    assert len(found) == 6 and set(found.video_id.tail(2)) == {"mouth0", "eyes0"}


def test_the_surest_frame_of_each_class_comes_first(frames):
    found = select(frames, label=1, order="surest frame", take="chosen", videos=2)
    assert found.position.to_list() == [4, 4]
    real = select(frames, label=0, order="surest frame", take="chosen", videos=2)
    assert real.position.to_list() == [0, 0]


def test_the_surest_video_is_so_on_average(frames):
    frames.loc[(frames.video_id == "eyes1"), "p_fake"] = 0.74
    found = select(frames, label=1, order="surest video", videos=1, per_video=1)
    assert found.video_id.to_list() == ["eyes1"]


def test_a_seed_gives_the_same_choice_and_another_seed_another(frames):
    def order(seed: int) -> list[str]:
        return select(frames, order="random", take="chosen", seed=seed).video_id.to_list()

    assert order(1) == order(1) != order(2)


def test_an_empty_table_gives_an_empty_table(frames):
    assert select(frames, split="val").empty


@pytest.mark.parametrize("rules", [{"order": "surest frame"}, {"correct_first": True}])
def test_rules_that_need_probabilities_say_so(frames, rules):
    with pytest.raises(VibaError, match="needs the column p_fake"):
        select(frames.drop(columns="p_fake"), **rules)


def of_people(people: int = 4, clips: int = 6) -> pd.DataFrame:
    """A real clip and three fakes of each of some clips of people, whose names begin alike."""
    rows = []
    for who in range(people):
        for clip in range(clips):
            real = f"p{who}-{clip}"
            known = {"identity": f"p{who}", "split": "test", "position": 0, "p_fake": 0.5}
            rows.append(known | {"video_id": real, "label": 0, "method": "", "original": ""})
            for method in ("chin", "eyes", "mouth"):
                fake = {"video_id": f"{real}-{method}", "label": 1, "method": method}
                rows.append(known | fake | {"original": real})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("given", [{"label": 0}, {"label": 1, "in_turn": True}, {"balanced": True}])
def test_people_take_turns(given):
    rows = of_people()
    named = select(rows, videos=8, per_video=1, **given)
    found = select(rows, order="person", videos=8, per_video=1, **given)
    assert found.identity.nunique() == 4 and named.identity.nunique() < 4
    assert found.identity.value_counts().max() <= 3
    assert list(found.method) == list(select(rows, videos=8, per_video=1, **given).method)
    shuffled = rows.sample(frac=1, random_state=1)
    again = select(shuffled, order="person", videos=8, per_video=1, **given)
    assert list(again.video_id) == list(found.video_id), "the order of the table does not count"


def test_unknown_people_are_not_one_person():
    rows = of_people().assign(identity="")
    found = select(rows, order="person", label=0, videos=5)
    assert list(found.video_id) == sorted(rows.video_id[rows.label == 0])[:5]
