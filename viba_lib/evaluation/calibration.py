"""Calibration of a trained detector's decision on people that it was not trained on.

One number is fitted on validation frames and becomes part of the last layer's bias, so that a user
of the detector decides at 0.5: a shift of the margin, which allows few real frames to be called
fake. The scale of the logits stays as trained. A temperature (Guo et al. 2017, arXiv:1706.04599)
would divide the loss of the prediction, and with it change what one bit costs in the bottleneck.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from viba_lib.core.errors import VibaError
from viba_lib.models.formats import classifier_of

FALSE_ALARMS = 0.1  # largest proportion of real frames called fake, as a mean over people


@dataclass(frozen=True)
class Calibration:
    """A detector's margin, the logit of fake minus that of real, is raised by `shift`.

    people, frames : behind it
    """

    shift: float
    people: int
    frames: int

    @classmethod
    def fit(
        cls, margins: np.ndarray, labels: np.ndarray, people: np.ndarray, alarm_cost: float = 1.0
    ) -> "Calibration":
        """The shift to the decision of least expected cost, or a lower one.

        It is lower if the mean of the people's false alarms would exceed `FALSE_ALARMS` otherwise.
        Every person weighs the same, and so does each class.

        Parameters
        ----------
        margins : (N,) logit of fake minus logit of real
        labels : (N,) 0 real, 1 fake
        people : (N,) names
        alarm_cost : missed fakes that a false alarm counts as; with 1, the decision lies where both
            classes are equally likely

        Raises
        ------
        VibaError
            One class only.
        """
        margins, labels = np.asarray(margins, float), np.asarray(labels, int)
        if len(np.unique(labels)) < 2:
            raise VibaError(
                f"calibration needs real and fake validation frames, got {(labels == 0).sum()} "
                f"real and {(labels == 1).sum()} fake: check the split of the catalog"
            )
        from sklearn.linear_model import LogisticRegression  # it takes a second

        names, person = np.unique(people, return_inverse=True)
        counts = np.zeros((len(names), 2))
        np.add.at(counts, (person, labels), 1)
        weights = 1 / counts[person, labels]
        weights *= len(weights) / weights.sum()
        # Hardly regularised: two classes that can be separated have no finite scale.
        fitted = LogisticRegression(C=10.0).fit(margins[:, None], labels, weights)
        scale, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        real = labels == 0
        limit = np.quantile(
            margins[real], 1 - FALSE_ALARMS, weights=weights[real], method="inverted_cdf"
        )
        # Fake is the cheaper decision where its odds exceed the cost. A detector that is wrong has
        # no such point: the limit alone decides.
        cheapest = (offset - math.log(alarm_cost)) / scale if scale > 0 else math.inf
        return cls(min(cheapest, -float(limit)), len(names), len(margins))

    def fold(self, model: nn.Module) -> None:
        """Change the last bias of a network with the logits (real, fake).

        Raises
        ------
        VibaError
            The network does not end in a linear layer with two outputs and a bias.
        """
        name = classifier_of(model)
        last = model.get_submodule(name) if name is not None else None
        if not isinstance(last, nn.Linear) or last.out_features != 2 or last.bias is None:
            raise VibaError(
                f"{type(model).__name__} does not end in a linear layer with two outputs and a "
                "bias, so that it cannot be calibrated; set `calibrate` to false in its training"
            )
        with torch.no_grad():
            last.bias.add_(torch.tensor([-0.5, 0.5]).to(last.bias) * self.shift)
