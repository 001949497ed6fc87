"""The book: pair, execute, stage, render and check.

A chapter's source is `notebooks/NN_name.py`. papermill executes the notebook that it stands for;
the executed copy is laid over a staged book, which Jupyter Book renders without running anything.
"""
