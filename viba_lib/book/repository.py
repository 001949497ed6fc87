"""Address of the repository that a book is built from, for launch buttons and commands."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTING = "VIBA_REPOSITORY"  # environment variable with the address
UNKNOWN = "ADDRESS-OF-THE-REPOSITORY"  # in commands, where the address is not known
# https://host/path, ssh://git@host:22/path, git@host:path; a folder of this machine has no host.
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]*@)?|[\w.-]+@)(?P<host>[\w-]+(?:\.[\w-]+)+)(?::\d+(?=/))?"
    r"[:/](?P<path>[^:]+?)(?:\.git)?/*"
)


def web_address(remote: str) -> str:
    """The https address of a remote of git, without credentials; "" if it has none.

    Parameters
    ----------
    remote : such as `git@example.org:owner/name.git` or `https://example.org/owner/name`
    """
    found = _REMOTE.fullmatch(remote.strip())
    return f"https://{found['host']}/{found['path'].lstrip('/')}" if found else ""


def repository(root: Path) -> dict[str, str]:
    """Address and branch of a repository; empty if its address is not known.

    The address comes from the environment variable `VIBA_REPOSITORY`, from the workflow that runs
    (`GITHUB_REPOSITORY`), or from the remote `origin` of git, in this order.
    """
    name, server = os.environ.get("GITHUB_REPOSITORY"), os.environ.get("GITHUB_SERVER_URL")
    workflow = f"{server or 'https://github.com'}/{name}" if name else ""
    given = os.environ.get(SETTING) or workflow or _git(root, "remote", "get-url", "origin")
    address = web_address(given)
    branch = os.environ.get("GITHUB_REF_NAME") or _git(root, "symbolic-ref", "--short", "HEAD")
    return {"url": address, "branch": branch or "main"} if address else {}


def _git(root: Path, *words: str) -> str:
    """What git says in a folder; "" without git, outside a repository, or for an unknown name."""
    try:
        done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def with_repository(config: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    """A configuration of jupyter-book with the repository, or without what needs its address.

    Parameters
    ----------
    config : content of `_config.yml`
    found : of `repository`
    """
    if found:
        return {**config, "repository": {**config.get("repository", {}), **found}}
    left = {k: v for k, v in config.items() if k not in ("repository", "launch_buttons")}
    off = {f"use_{name}_button": False for name in ("issues", "repository", "edit_page")}
    return {**left, "html": {**config.get("html", {}), **off}}
