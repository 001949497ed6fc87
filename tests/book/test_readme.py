"""README: what it refers to exists, and its image is small."""

import re

import pytest

from viba_lib.book import paths
from viba_lib.cli.main import app

README = (paths.ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = re.findall(r"\]\(([^)\s]+)\)", README)
ON_THE_HOST = "../../deployments/"  # pages of the repository's host, whatever its address is


@pytest.mark.parametrize("target", [t for t in TARGETS if "://" not in t])
def test_relative_links_lead_to_files(target):
    if not target.startswith(ON_THE_HOST):
        assert (paths.ROOT / target).is_file()


def test_its_images_are_small_and_described():
    images = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", README)
    assert images
    for alt, target in images:
        assert len(alt) > 40
        assert (paths.ROOT / target).stat().st_size <= 120_000


def test_its_commands_exist():
    commands = set(re.findall(r"(?m)(?:^|`)viba (\w+)", README))
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert {"chapter", "explain"} <= commands <= known
