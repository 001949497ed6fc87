"""The compared methods and input-agnostic controls.

captum computes Grad-CAM, LRP, integrated gradients, Occlusion, LIME and Kernel SHAP;
pytorch-grad-cam computes Grad-CAM++; SciPy computes the indices of Sobol. RISE and the masks of
Sobol are implemented here.
"""

from viba_lib.baselines.controls import centred_gaussian, edges, random_maps
from viba_lib.baselines.gradients import (
    grad_cam,
    grad_cam_plus_plus,
    integrated_gradients,
    layer_integrated_gradients,
    relevance_propagation,
)
from viba_lib.baselines.methods import METHODS, Method, attribute
from viba_lib.baselines.patch_head import PatchHead, patch_scores
from viba_lib.baselines.perturbations import kernel_shap, lime, occlusion, rise, sobol

__all__ = [
    "METHODS",
    "Method",
    "PatchHead",
    "attribute",
    "centred_gaussian",
    "edges",
    "grad_cam",
    "grad_cam_plus_plus",
    "integrated_gradients",
    "kernel_shap",
    "layer_integrated_gradients",
    "lime",
    "occlusion",
    "patch_scores",
    "random_maps",
    "relevance_propagation",
    "rise",
    "sobol",
]
