"""One run of a profile: its settings, its stages, and the explanation of one video."""
