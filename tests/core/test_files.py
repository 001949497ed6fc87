"""Atomic writes, and advice for errors of the disk."""

import errno
import os

import pytest

from viba_lib.core.files import atomic_write, disk_message, write_text


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_write(path) as tmp:
        tmp.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_every_message_names_the_file_and_what_to_do(number):
    message = disk_message(OSError(number, os.strerror(number), "/some/path"))
    assert "/some/path" in message and ";" in message


def test_an_error_without_a_number_keeps_its_text():
    assert "odd" in disk_message(OSError("odd"))
