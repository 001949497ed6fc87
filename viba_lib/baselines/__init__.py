"""The compared methods and input-agnostic controls.

captum computes Grad-CAM, LRP, integrated gradients, Occlusion, LIME and Kernel SHAP;
pytorch-grad-cam computes Grad-CAM++; SciPy computes the indices of Sobol. RISE and the masks of
Sobol are implemented here.

A name is imported from its module when it is first used: captum, pytorch-grad-cam and what they
import take seconds, and most processes compare no methods.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["centred_gaussian", "edges", "random_maps"],
        "gradients": [
            "grad_cam",
            "grad_cam_plus_plus",
            "integrated_gradients",
            "layer_integrated_gradients",
            "relevance_propagation",
        ],
        "methods": ["METHODS", "Method", "attribute"],
        "patch_head": ["PatchHead", "patch_scores"],
        "perturbations": ["kernel_shap", "lime", "occlusion", "rise", "sobol"],
    },
)
