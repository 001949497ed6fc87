"""Known security holes in the pinned packages, asked of the advisories of the Python index."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from viba_lib.book import paths as places
from viba_lib.book.paths import BookError, say

SECONDS = 300
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
    )


def audit(lock: Path | None = None, run: Run = _run) -> int:
    """Ask pip-audit about every pinned package, and print what it knows.

    Nothing is installed or resolved. A package that the index does not know, or no answer at all,
    is said aloud: silence would pass for safety.

    Parameters
    ----------
    lock : file of pinned packages
    run : runs a command; for tests

    Returns
    -------
    Number of packages that were audited.

    Raises
    ------
    BookError
        Known holes; names each package with the advisory and the version that mends it.
    """
    lock = lock or places.ROOT / "requirements.lock"
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    try:
        done = run(command)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return _skipped(f"no answer within {SECONDS} s")
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines()
        return _skipped(lines[-1][:200] if lines else f"exit status {done.returncode}")
    asked = [p for p in packages if "skip_reason" not in p]
    if not asked:
        return _skipped("the index gives no advisories here")
    holes = [line for package in asked for line in holes_of(package)]
    if holes:
        raise BookError(
            f"{len(holes)} known security holes in {lock.name}; raise these versions and resolve "
            "the lock again:\n" + "\n".join(holes)
        )
    say(f"audit: no known hole in {len(asked)} of {len(packages)} pinned packages")
    if unknown := [p["name"] for p in packages if "skip_reason" in p]:
        say(f"audit: SKIPPED {len(unknown)}, unknown to the index: {', '.join(unknown[:10])}")
    return len(asked)


def holes_of(package: Mapping[str, Any]) -> list[str]:
    """A line for each advisory about a package, as pip-audit reports it."""
    pinned = f"{package['name']} {package['version']}"
    return [
        f"{pinned}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for hole in package["vulns"]
    ]


def _skipped(why: str) -> int:
    say(
        f"audit: SKIPPED, no package was audited ({why}); run `make audit` where there is a network"
    )
    return 0
