"""Paths and texts as people give them, atomic writes, SHA-256, and errors of the disk."""

import codecs
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viba_lib.core.errors import VibaError

# Variables of a shell as a part of a path, and drives of Windows.
VARIABLE = r"(?:.*/)?(\$\w+|\$\{\w+\}|%\w+%)(?:/.*)?"
ADDRESS = r"(?i)(https?|ftps?|s3|gs|file):/"  # a Path has one of the two slashes
DRIVE = r"([A-Za-z]:)/.*"


def user_path(given: str | Path, folder: str | Path = "") -> Path:
    """A path as people write it: `~` is the home folder, and backslashes separate folders.

    Backslashes and spaces at the ends stay if a file has exactly this name.

    Parameters
    ----------
    folder : folder that a relative path starts from; the result stays relative

    Raises
    ------
    VibaError
        A variable such as `$HOME`, which is not replaced, a drive of Windows on another system, or
        an address of the web.
    """
    text = os.path.expanduser(given)
    if "\x00" in text:
        raise VibaError(f"path {text!r} holds a zero byte; expected the path of a file or folder")
    if re.match(ADDRESS, text) and not os.path.lexists(os.path.join(folder, text)):
        raise VibaError(
            f"{str(given)!r} is an address; download it, and name the file on this machine"
        )
    if re.search(r"[\\$%:]|^\s|\s$", text) and not os.path.lexists(os.path.join(folder, text)):
        text = os.path.expanduser(text.strip().replace("\\", "/"))
        found = re.fullmatch(VARIABLE, text) or (os.name != "nt" and re.fullmatch(DRIVE, text))
        if found:
            raise VibaError(
                f"path {str(given)!r} holds {found[1]}, which is not replaced here; write the "
                "folder itself, or ~ for your home folder"
            )
    return Path(text)


def read_text(path: str | Path, errors: str = "strict") -> str:
    """Text of a file in UTF-8, or in UTF-16 if it begins with a byte-order mark."""
    data = Path(path).read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if marked else "utf-8-sig", errors)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder that is renamed to `path` at the end.

    Folders are created. An error before the end leaves `path` as it was. The temporary name is
    unique, so that two runs that write the same file do not disturb each other.

    Raises
    ------
    VibaError
        `path` is a folder or a device, which a file would replace.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no ordinary file"
        raise VibaError(f"{path} is {what}; expected the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Absolute, because readers of videos would take a relative name with a colon for an address.
    tmp = path.absolute().with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    tmp.touch(exist_ok=False)  # with the rights that the user's umask gives to every file
    try:
        yield tmp
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def check_output(path: Path, *given: Path) -> None:
    """Refuse to write a result over a file that it is made from.

    Raises
    ------
    VibaError
        `path` is one of the given files, under whatever name.
    """
    for one in given:
        if path.exists() and one.exists() and path.samefile(one):
            raise VibaError(f"{path} is the input itself, and would be replaced; name another file")


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file atomically; folders are created."""
    with atomic_write(path) as tmp:
        tmp.write_text(text, encoding="utf-8")
    return Path(path)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space, or name other folders with --results-root, "
    "--data-root and --out",
    errno.EDQUOT: "your disk quota is used up; free some space, or name other folders",
    errno.EFBIG: "the file would be larger than is allowed here (see `ulimit -f`)",
    errno.EROFS: "the file system may only be read; name folders elsewhere with --results-root, "
    "--data-root and --out",
    errno.EACCES: "you may not read or write there; change the permissions or name another folder",
    errno.EPERM: "you may not do that there; change the permissions or name another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n`",
    errno.ENOTDIR: "a file lies where a folder is expected; name another folder",
    errno.EIO: "the disk reported an error; check it before you continue",
}


def disk_message(error: OSError) -> str:
    """Message for an error of the disk: the reason, the file, and what to do next."""
    where = f" ({error.filename})" if error.filename else ""
    message = REMEDIES.get(error.errno or 0) or error.strerror or str(error)
    return f"{message}{where}; finished work is kept, and the same command resumes it"
