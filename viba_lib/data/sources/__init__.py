"""Data sets: their layout on disk becomes catalog rows."""
