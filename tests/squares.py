"""A mask with a square, which tests of measures share."""

import numpy as np


def square(top, left, size=10, side=2):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask
