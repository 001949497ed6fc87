"""From videos to prepared clips.

A catalog lists videos. `prepare` reads each with one `VideoReader`, chooses key frames, follows one
face and stores crops, flow and landmarks. `readers` turn data sets on disk into catalogs, and
`planted_dataset` builds the default data set from `source_videos`.
"""
