"""The address of the repository: from a setting, a workflow or git, or not known."""

import subprocess

import pytest
import yaml

from viba_lib.book import paths
from viba_lib.book.repository import repository, web_address, with_repository

ADDRESSES = {
    "https://github.com/owner/name": "https://github.com/owner/name",
    "https://github.com/owner/name.git": "https://github.com/owner/name",
    "https://user:secret@gitlab.example.org/group/sub/name.git/":
        "https://gitlab.example.org/group/sub/name",
    "git@github.com:owner/name.git": "https://github.com/owner/name",
    "ssh://git@example.org:2222/owner/name.git": "https://example.org/owner/name",
    "/srv/git/name": "",
    "../name": "",
    "file:///srv/git/name": "",
    "C:\\repos\\name": "",
    "https://localhost/owner/name": "",
    "": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    for name in ("VIBA_REPOSITORY", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_REF_NAME"):
        monkeypatch.delenv(name, raising=False)


def git(folder, *words):
    subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True)


@pytest.mark.parametrize("remote", ADDRESSES)
def test_remotes_become_addresses_without_credentials(remote):
    assert web_address(remote) == ADDRESSES[remote]


def test_a_setting_comes_before_the_workflow_and_the_workflow_before_git(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "-b", "draft")
    assert repository(tmp_path) == {}
    git(tmp_path, "remote", "add", "origin", "git@example.org:me/fork.git")
    assert repository(tmp_path) == {"url": "https://example.org/me/fork", "branch": "draft"}
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/viba")
    monkeypatch.setenv("GITHUB_REF_NAME", "next")
    assert repository(tmp_path) == {"url": "https://github.com/someone/viba", "branch": "next"}
    monkeypatch.setenv("VIBA_REPOSITORY", "https://example.org/own/book")
    assert repository(tmp_path)["url"] == "https://example.org/own/book"


def test_a_folder_as_remote_or_no_git_at_all_is_unknown(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", str(tmp_path))
    assert repository(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert repository(tmp_path) == {}


def test_without_an_address_nothing_that_needs_it_is_shown():
    config = yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "url" not in config["repository"]
    without = with_repository(config, {})
    assert "repository" not in without and "launch_buttons" not in without
    buttons = {k: v for k, v in without["html"].items() if k.endswith("_button")}
    assert len(buttons) == 3 and not any(buttons.values())
    found = {"url": "https://example.org/a/b", "branch": "main"}
    known = with_repository(config, found)
    assert known["repository"] == found | {"path_to_book": ""}
    assert known["launch_buttons"] == config["launch_buttons"] and known["html"] == config["html"]
