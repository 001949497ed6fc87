"""Landmarks that several tests need."""

import numpy as np


def face():
    """Landmarks of a plain face, in units of the crop."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.c_[0.5 + 0.3 * np.cos(angle), 0.45 + 0.4 * np.sin(angle)]
    brows = np.c_[np.linspace(0.28, 0.72, 10), np.full(10, 0.33)]
    nose = np.c_[np.r_[np.full(4, 0.5), np.linspace(0.44, 0.56, 5)],
                 np.r_[np.linspace(0.4, 0.55, 4), np.full(5, 0.58)]]  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    eyes = [np.c_[x + 0.05 * np.cos(turn), 0.4 + 0.02 * np.sin(turn)] for x in (0.37, 0.63)]
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    mouth = np.c_[0.5 + 0.1 * np.cos(turn), 0.7 + 0.04 * np.sin(turn)]
    return np.concatenate([jaw, brows, nose, *eyes, mouth])
