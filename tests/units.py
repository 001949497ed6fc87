"""Videos of several people with known source clips, which tests of readings share."""

import pandas as pd

from viba_lib.experiments.common import Bootstrap

CLIPS, PEOPLE = 12, 4
# A real video and a fake of each source clip; clips of four people in turn.
VIDEOS = [f"c{clip:02}-{kind}" for clip in range(CLIPS) for kind in ("real", "fake")]
UNITS = pd.DataFrame(
    {"clip": [v[:3] for v in VIDEOS], "person": [f"p{int(v[1:3]) % PEOPLE}" for v in VIDEOS]},
    index=pd.Index(VIDEOS, name="video_id"),
)
BOOTSTRAP = Bootstrap(50, 0, UNITS)
ALONE = Bootstrap(50, 0, UNITS.assign(person="p"))  # one person, who decides nothing
