"""Paths as people write them, atomic writes, and advice for errors of the disk."""

import errno
import os
from pathlib import Path

import pytest

from viba_lib.core.errors import VibaError
from viba_lib.core.files import (
    atomic_write,
    check_output,
    disk_message,
    user_path,
    write_text,
)


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_write(path) as tmp:
        tmp.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_files_have_the_rights_that_the_user_wants(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_folders_and_devices_are_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(VibaError, match=r"folder is a folder; expected the name of a file"):
        write_text(tmp_path / "folder", "text")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VibaError, match=r"pipe is no ordinary file"):
        write_text(tmp_path / "pipe", "text")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_a_result_does_not_replace_what_it_is_made_from(tmp_path):
    given = write_text(tmp_path / "given.csv", "a")
    (tmp_path / "link.csv").symlink_to(given)
    for name in ("given.csv", "link.csv"):
        with pytest.raises(VibaError, match="is the input itself"):
            check_output(tmp_path / name, tmp_path / "other.csv", given)
    check_output(tmp_path / "new.csv", given)
    check_output(given, tmp_path / "absent.csv")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_every_message_names_the_file_and_what_to_do(number):
    message = disk_message(OSError(number, os.strerror(number), "/some/path"))
    assert "/some/path" in message and ";" in message


def test_an_error_without_a_number_keeps_its_text():
    assert "odd" in disk_message(OSError("odd"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("v/a.mp4", "v/a.mp4"),
        ("", "."),
        (r"v\a b.mp4", "v/a b.mp4"),
        (r"v\..\..\a.mp4", "v/../../a.mp4"),
        (" v/a.mp4 ", "v/a.mp4"),
        ("~", "/home/me"),
        ("~/v", "/home/me/v"),
        (r"~\v\w", "/home/me/v/w"),
        ("~nobody-here/v", "~nobody-here/v"),
        ("v/~/a", "v/~/a"),
        ("cash$money.mp4", "cash$money.mp4"),
        ("100%.mp4", "100%.mp4"),
        ("12:30.mp4", "12:30.mp4"),
        ("/abs/a.mp4", "/abs/a.mp4"),
    ],
)
def test_paths_as_people_write_them(monkeypatch, tmp_path, given, meant):
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path(given, tmp_path) == Path(meant)
    assert user_path(Path(given), tmp_path) == Path(meant)


@pytest.mark.parametrize("name", [r"v\a.mp4", " a.mp4", "a.mp4 ", "$HOME", "%TEMP%", r"~\a.mp4"])
def test_a_file_of_exactly_this_name_comes_first(monkeypatch, tmp_path, name):
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / name).write_text("")
    assert user_path(name, tmp_path) == Path(name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("$HOME/v", r"\$HOME, which is not replaced here; write the folder itself"),
        ("v/${DATA}/a.mp4", r"\$\{DATA\}"),
        (r"%USERPROFILE%\v", "%USERPROFILE%"),
        (r"C:\v\a.mp4", "C:"),
        ("d:/v/a.mp4", "d:"),
        ("a\0b", "zero byte"),
    ],
)
def test_paths_that_mean_nothing_here(tmp_path, given, said):
    with pytest.raises(VibaError, match=said):
        user_path(given, tmp_path)


@pytest.mark.parametrize("given", ["https://x.org/a.mp4", Path("HTTP://x.org/a"), "file:///a.mp4"])
def test_addresses_are_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VibaError, match=r"is an address; download it"):
        user_path(given)
    for name in ("http:a.mp4", "https", "files/a.mp4"):
        assert user_path(name) == Path(name)
    (tmp_path / "file:").mkdir()
    (tmp_path / "file:" / "a.mp4").touch()
    assert user_path("file:/a.mp4").is_file()
