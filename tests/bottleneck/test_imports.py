"""The method is of use in a project that has torch and numpy alone."""

import subprocess
import sys

# Every other package that this one depends on.
OTHERS = (
    *("PIL", "av", "captum", "cv2", "dask", "distributed", "dlib", "filelock", "h5py", "joblib"),
    *("matplotlib", "pandas", "pooch", "psutil", "pyarrow", "pydantic", "rich", "safetensors"),
    *("scipy", "seaborn", "skimage", "sklearn", "statsmodels", "timm", "torchvision", "typer"),
    *("xarray", "yaml", "zarr"),
)
ONLY_TORCH = f"""
import sys
sys.modules.update(dict.fromkeys({OTHERS}))  # None: the import of it fails
import torch
import viba_lib.bottleneck as method
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(4, 2),
).eval()
frames = torch.randn(2, 3, 12, 12)
statistics = method.LayerStatistics.estimate(model, "0", [frames])
print(method.PerSampleBottleneck(model, "0", statistics).attribute(frames).bits_per_pixel.shape)
try:
    statistics.save("nowhere.safetensors")
except ValueError as error:
    print(error)
"""


def test_maps_need_torch_and_numpy_alone(tmp_path):
    call = [sys.executable, "-W", "ignore", "-c", ONLY_TORCH]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    shape, said = done.stdout.splitlines()
    assert shape == "torch.Size([2, 12, 12])"
    assert said.startswith("this needs the package safetensors") and "pip install 'viba'" in said
    assert not list(tmp_path.iterdir())
