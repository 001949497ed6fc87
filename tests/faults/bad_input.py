"""The table of bad input: what is given, what happens, and what is said.

`make notebooks` writes these rows to `book/bad_input.md`; `test_bad_input.py` gives each of them to
the product.
"""

from typing import NamedTuple

REFUSED = "refused, exit status 2"
PROBLEM = "a row of problems"
TAKEN = "taken"
AGAIN = "computed again"
STOPPED = "stopped"
LINE = "refused, in one line"


class Row(NamedTuple):
    """Name of the case, what is given, what happens, and words that are said (or why not)."""

    name: str
    given: str
    happens: str
    says: str


VIDEOS = [
    Row("v-empty", "an empty file", PROBLEM, "cannot be read as a video"),
    Row("v-text", "a text that is called .mp4", PROBLEM, "cannot be read as a video"),
    Row("v-head", "a video cut off in its header", PROBLEM, "cannot be read as a video"),
    Row("v-cut", "a video cut off half-way", TAKEN, "as far as it goes"),
    Row("v-bytes", "a video with random bytes in the middle", TAKEN, "what can be decoded"),
    Row("v-suffix", "a Matroska video that is called .mp4", TAKEN, "the content counts"),
    Row("v-nosuffix", "a video that is called .txt", TAKEN, "the content counts"),
    Row("v-sound", "sound only", PROBLEM, "has no video stream"),
    Row("v-one", "one frame", PROBLEM, "has one frame"),
    Row("v-picture", "a photograph, PNG", PROBLEM, "has one frame"),
    Row("v-variable", "variable frame rate", TAKEN, "frames count, not seconds"),
    Row("v-rotated", "turned by its metadata", TAKEN, "turned upright"),
    Row("v-mirrored", "mirrored by its metadata", TAKEN, "as players show it"),
    Row("v-aspect", "pixels that are not square", TAKEN, "as players show it"),
    Row("v-cover", "cover art as its first stream", TAKEN, "the video is read"),
    Row("v-music", "music with cover art", PROBLEM, "has no video stream"),
    Row("v-late", "a clock that starts at one hour", TAKEN, "seconds count from the first frame"),
    Row("v-edited", "an edit list that leaves frames out", TAKEN, "they are left out"),
    Row("v-avi", "AVI with B-frames", TAKEN, "in the order in which they are shown"),
    Row("v-grows", "a frame size that changes", TAKEN, "scaled to that of the first frame"),
    Row("v-turns", "a phone that is turned in a call", TAKEN, "fitted between black bars"),
    Row("v-masks", "masks of another size than the video", PROBLEM, "expected one size"),
    Row("v-grey", "grey", TAKEN, "as three equal colours"),
    Row("v-alpha", "with transparency", TAKEN, "transparency is left out"),
    Row("v-10bit", "10 bits a colour", TAKEN, "as 8 bits"),
    Row("v-odd", "odd width and height, 241x181", TAKEN, "as it is"),
    Row("v-1x1", "1x1 pixel", PROBLEM, "no face in any"),
    Row("v-8k", "7680x4320", PROBLEM, "no face in any"),
    Row("v-noface", "no face", PROBLEM, "no face in any"),
    Row("v-faces", "four faces", TAKEN, "the largest is followed"),
    Row("v-cuts", "a cut between two scenes", TAKEN, "frames with a face"),
    Row("v-folder", "a folder", PROBLEM, "is a folder"),
    Row("v-missing", "a file that is not there", PROBLEM, "does not exist"),
    Row("v-outside", "an absolute path to a file that is not a video", PROBLEM, "cannot be read"),
    Row("v-markup", "a name with markup, `<img src=x onerror=...>`", TAKEN, "escaped on pages"),
    Row("v-colon", "the name `2024-05-01T10:20:30.mp4`", TAKEN, "a file, not an address"),
    Row("v-percent", "the name `%03d.mp4`", TAKEN, "a file, not a pattern"),
    Row("v-dash", "the name `-clip.mp4`, after `--`", TAKEN, "a file, not an option"),
    Row("v-range", "a part from 90 s to 99 s of a short video", PROBLEM, "no frames in the range"),
]
TABLES = [
    Row("t-missing", "no column label", REFUSED, "expected video_id, path, label"),
    Row("t-twice", "a column twice", REFUSED, "cannot be read as a table"),
    Row("t-ids", "the same id twice", REFUSED, "given twice"),
    Row("t-slash", "an id with a slash", REFUSED, "characters that a file name cannot"),
    Row("t-dots", "the id `..`", REFUSED, "characters that a file name cannot"),
    Row("t-label", "the label maybe", REFUSED, "labels are none of"),
    Row("t-split", "the split dev", REFUSED, "splits are none of"),
    Row("t-up", "a path with `..`", REFUSED, "leads out of"),
    Row("t-link", "a path through a link out of the folder", REFUSED, "leads out of"),
    Row("t-span", "a start after its end", REFUSED, "start is not before end"),
    Row("t-number", "a start that is not a number", REFUSED, "not a number of seconds"),
    Row("t-rows", "no rows", REFUSED, "no rows"),
    Row("t-nopath", "a row without a path", REFUSED, "rows without a path"),
    Row("t-bytes", "random bytes called .parquet", REFUSED, "cannot be read as a table"),
    Row("t-cut", "a Parquet file cut off", REFUSED, "cannot be read as a table"),
    Row("t-latin", "a CSV file that is not UTF-8", REFUSED, "cannot be read as a table"),
    Row("t-none", "a folder without a table", REFUSED, "holds 0 tables"),
    Row("t-two", "a folder with two tables", REFUSED, "holds 2 tables"),
    Row("t-header", "a CSV file without a header", REFUSED, "path and label in its first line"),
    Row("t-doubled", "a CSV file with the columns label and LABEL", REFUSED, "columns twice"),
    Row("t-wide", "a CSV file with a longer row", REFUSED, "cannot be read as a table"),
    Row("t-infinite", "an infinite start", REFUSED, "not a number of seconds"),
    Row("t-na-start", "the start NA", REFUSED, "not a number of seconds"),
    Row("t-na-split", "the split NA", REFUSED, "splits are none of"),
    Row("t-back-up", "a path with `..` and backslashes", REFUSED, "leads out of"),
    Row("t-variable", "a path with the variable `$HOME`", REFUSED, "is not replaced here"),
    Row(
        "t-drive",
        "a path with a drive of Windows, on another system",
        REFUSED,
        "C:, which is not replaced here",
    ),
    Row("t-zero", "a path with a zero byte", REFUSED, "a zero byte"),
    Row(
        "t-na",
        "people called NA, null, None, nan, N/A, 007, 1e5, True, 3.0",
        TAKEN,
        "names are text; splits and leakage count these people",
    ),
    Row("t-separator", "semicolons, tabs or \\| between columns", TAKEN, "as with commas"),
    Row("t-encoding", "a byte-order mark, or UTF-16", TAKEN, "as UTF-8"),
    Row("t-lines", "Windows line ends, and empty rows", TAKEN, "empty rows are left out"),
    Row("t-spaces", "spaces around cells and headers", TAKEN, "spaces at the ends are left out"),
    Row("t-capitals", "headers in capitals", TAKEN, "as in small letters"),
    Row("t-quotes", "quotes around cells and headers", TAKEN, "without the quotes"),
    Row("t-backslash", "backslashes in paths", TAKEN, "they separate folders"),
    Row("t-home", "a path that begins with `~`", TAKEN, "`~` is the home folder"),
    Row("t-one", "one video", TAKEN, "without a split"),
    Row("t-pair", "two videos", TAKEN, "without a split"),
]
FOLDERS = [
    Row("f-home", "`~` in `folders.yaml`", TAKEN, "`~` is the home folder"),
    Row("f-backslash", "backslashes in `folders.yaml`", TAKEN, "they separate folders"),
    Row("f-names", "data sets called NO, 007 and 1e5", TAKEN, "names are text"),
    Row("f-variable", "the variable `$HOME` in `folders.yaml`", REFUSED, "is not replaced here"),
    Row("f-few", "sampling a study from two videos", REFUSED, "cannot be split three ways"),
]
ANNOTATIONS = [
    Row("a-names", "annotators called NA, 007 and None, with semicolons", TAKEN, "names are text"),
    Row("a-home", "a path that begins with `~`", TAKEN, "`~` is the home folder"),
    Row("a-columns", "a table without the column regions", REFUSED, "regions missing"),
    Row("a-bytes", "random bytes", REFUSED, "cannot be read as a table"),
]
WEIGHTS = [
    Row("w-suffix", "safetensors called .pth, or a PyTorch file called .bin", TAKEN,
        "the content counts"),
    Row("w-wrapped", "names below any prefix, such as of DataParallel or torch.compile", TAKEN,
        "names and shapes are matched"),
    Row("w-more", "a loss, an optimiser or a moving average beside the weights", TAKEN,
        "left over: "),
    Row("w-half", "half or double precision", TAKEN, "in the precision of the network"),
    Row("w-logit", "one logit", TAKEN, "is taken as [0, z]"),
    Row("w-code", "a pickle that would run code", REFUSED, "contains more than tensors"),
    Row("w-model", "a pickled model", REFUSED, "save the state dict alone"),
    Row("w-script", "a TorchScript archive", REFUSED, "which contains code"),
    Row("w-two", "two networks that fit, teacher and student", REFUSED,
        "several networks that fit"),
    Row("w-keys", "weights of another network", REFUSED, "does not fit"),
    Row("w-shapes", "weights of other shapes", REFUSED, "of another shape"),
    Row("w-classes", "weights for other classes", REFUSED, "1000x512, expected 2x512"),
    Row("w-int", "weights as whole numbers", REFUSED, "of another type"),
    Row("w-nan", "weights that are not numbers", REFUSED, "not finite"),
    Row("w-cut", "safetensors cut off", REFUSED, "cut off"),
    Row("w-zip", "a PyTorch file cut off", REFUSED, "cut off"),
    Row("w-huge", "safetensors whose header claims 2^60 bytes", REFUSED, "cannot be read"),
    Row("w-text", "a text", REFUSED, "it is a text"),
    Row("w-page", "a web page saved as .pth", REFUSED, "it is a web page"),
    Row("w-lfs", "a pointer of Git LFS", REFUSED, "git lfs pull"),
    Row("w-onnx", "an ONNX model", REFUSED, "it is an ONNX model"),
    Row("w-hdf5", "an HDF5 file of Keras", REFUSED, "it is an HDF5 file"),
    Row("w-npz", "NumPy arrays", REFUSED, "it is a zip archive of"),
    Row("w-empty", "an empty file", REFUSED, "it is empty"),
    Row("w-folder", "a folder", REFUSED, "is a folder"),
    Row("w-missing", "a file that is not there", REFUSED, "does not exist"),
    Row("w-list", "a list instead of a state dict", REFUSED, "no state dict"),
]  # fmt: skip
PARAMETERS = [
    Row("p-chapter", "a chapter that does not exist", REFUSED, "05_injection_layer"),
    Row("p-unknown", "a parameter that the chapter does not have", REFUSED, "not known to"),
    Row("p-type", "a word instead of a number", REFUSED, "expected"),
    Row("p-negative", "a negative weight of the information", REFUSED, "expected"),
    Row("p-nan", "`nan` for a number of a chapter", REFUSED, "expected"),
    Row("p-code", "an expression that would run code", REFUSED, "expected"),
    Row("p-beta", "`viba explain --beta nan`", REFUSED, "Invalid value"),
    Row("p-steps", "`viba explain --steps 0`", REFUSED, "Invalid value"),
    Row("p-device", "a device that is not there", REFUSED, "cannot be used here"),
    Row("p-layer", "a layer that is not there", REFUSED, "block4"),
    Row("p-profile", "a profile that does not exist", REFUSED, "choose one of"),
    Row("p-key", "a profile with an unknown key", REFUSED, "xcption"),
    Row("p-value", "a profile with a negative number of steps", REFUSED, "greater than or equal"),
    Row("p-object", "a profile that would build an object", REFUSED, "not valid YAML"),
    Row("p-bomb", "a profile whose aliases grow a thousandfold", REFUSED, "profile"),
    Row("p-name", "a profile whose name leads out of the results", REFUSED, "name"),
    Row("p-catalog", "a profile whose catalog leads out of the data", REFUSED, "catalog"),
    Row("p-half", "the seed 0.7 for a chapter", REFUSED, "expected int"),
    Row("p-exponent", "the seed 1e3 for a chapter", REFUSED, "expected int"),
    Row("p-hex", "the seed 0x10 for a chapter", REFUSED, "expected int"),
    Row("p-true", "the seed True for a chapter", REFUSED, "expected int"),
    Row("p-infinite", "the seed inf for a chapter", REFUSED, "expected int"),
    Row("p-large", "the seed 4294967296 for a chapter", REFUSED, "from 0 to 4294967295"),
    Row("p-option-half", "`viba explain --seed 0.7`", REFUSED, "Invalid value"),
    Row("p-option-minus", "`viba explain --seed -1`", REFUSED, "Invalid value"),
    Row("p-option-true", "`viba explain --max-frames True`", REFUSED, "Invalid value"),
    Row("p-profile-half", "a profile with 2.5 steps", REFUSED, "got 2.5"),
    Row("p-profile-true", "a profile with `yes` for the number of steps", REFUSED, "got True"),
    Row("p-profile-text", "a profile with the text '2' for a number", REFUSED, "got '2'"),
    Row("p-profile-infinite", "a profile with an infinite learning rate", REFUSED, "got inf"),
    Row(
        "p-variable",
        "`--data-root` with the variable `$HOME`, in single quotes",
        REFUSED,
        "is not replaced here",
    ),
]
PAPERMILL = [
    Row("m-unknown", "a misspelt parameter, `-p laier block12`", STOPPED, "'laier' is not known"),
    Row("m-half", "`-p seed 0.7`", STOPPED, "seed is 0.7; expected int"),
    Row("m-exponent", "`-p seed 1e3`", STOPPED, "seed is 1000.0; expected int"),
    Row("m-true", "`-p seed True`", STOPPED, "seed is True; expected int"),
    Row("m-minus", "`-p seed -1`", STOPPED, "seed is -1; expected int"),
    Row("m-nan", "`-p beta nan`", STOPPED, "beta is nan; expected float"),
    Row("m-number", "a number for a text, `-p detector 007`", STOPPED, "takes text with -r"),
    Row("m-right", "`-p seed 7 -p beta 5 -r detector 007`", TAKEN, "as in the cell of defaults"),
]
SURROUNDINGS = [
    Row("e-home", "no home folder", TAKEN, "none is needed"),
    Row("e-network", "no network", REFUSED, "connect to the network"),
    Row("e-full", "no space on the disk", REFUSED, "the disk is full"),
    Row("e-readonly", "results that may only be read", REFUSED, "may only be read"),
    Row("e-file", "a file where the folder of results is expected", REFUSED, "folder"),
    Row("e-old", "results of an older version", AGAIN, "never used"),
    Row("e-locale", "a locale without UTF-8, and another time zone", TAKEN, "nothing changes"),
]
MODELS = [
    Row("o-sigmoid", "one logit (N, 1) or (N,) for a sigmoid", TAKEN, "as two classes, [0, z]"),
    Row("o-probability", "a model that ends in a sigmoid or softmax", LINE, "gives probabilities"),
    Row("o-output", "one decision for a batch of frames", LINE, "a row for each input"),
    Row("o-computed", "weight norm, spectral norm, pruning, hooks", TAKEN, "as the model runs"),
    Row("o-state", "no_grad, inference mode or autocast around the call", TAKEN, "no change"),
    Row("o-type", "a model or frames in double or half precision", TAKEN, "maps in float32"),
    Row("o-integers", "integer frames", LINE, "nothing is scaled here"),
    Row("o-numpy", "frames as a NumPy array", LINE, "numpy.ndarray"),
    Row("o-batches", "batches as tuples, lists or dicts of a DataLoader", TAKEN, "inputs found"),
    Row("o-batch", "a batch with two tensors of images", LINE, "pick it from the batch"),
    Row("o-script", "a layer inside a TorchScript model", LINE, "inside a TorchScript module"),
    Row("o-clips", "CNN and LSTM or pooling over clips, either order", TAKEN, "a map per frame"),
    Row("o-target", "a class that the model does not have", LINE, "expected one class from 0"),
]
PARTS = {
    "Videos": VIDEOS,
    "Tables and catalogs": TABLES,
    "Folders of data sets": FOLDERS,
    "Annotations": ANNOTATIONS,
    "Weights": WEIGHTS,
    "Models of your own": MODELS,
    "Parameters and profiles": PARAMETERS,
    "Parameters under papermill": PAPERMILL,
    "Surroundings": SURROUNDINGS,
}
ALL = [row for rows in PARTS.values() for row in rows]


def markdown() -> str:
    """The table as the book shows it."""
    lines = []
    for title, rows in PARTS.items():
        lines += [f"## {title}", "", "| Input | Result | Part of the message, or reason |"]
        lines.append("|---|---|---|")
        lines += [f"| {row.given} | {row.happens} | {row.says} |" for row in rows]
        lines.append("")
    return "\n".join(lines)
