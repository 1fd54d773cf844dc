"""Whoever builds an image once more can see that it is the same; and no image is larger than it is said to be."""

import json
import re
import uuid
from typing import Any

import pytest

from tests.support.compose import docker, need_compose
from tools.process import ROOT

pytestmark = pytest.mark.compose

BUILD_SECONDS = 900
MB = 10**6
# The official python:3.13-slim, all layers on disk (docker-library/repo-info, 3.13.15-slim-trixie, 1 September 2026).
OFFICIAL_BASE = 126.25 * MB
FOLDERS = pytest.mark.parametrize("folder", ["services/auth", "services/users", "gateway"])


def layers_of(build: str) -> Any:
    return json.loads(docker("image", "inspect", build))[0]["RootFS"]["Layers"]


def size_of(image: str) -> int:
    return int(json.loads(docker("image", "inspect", image))[0]["Size"])


@FOLDERS
def test_an_image_has_less_than_200_mb_on_the_official_base(folder: str) -> None:
    need_compose()
    image = docker("build", "--quiet", "--file", f"{folder}/Dockerfile", ".", seconds=BUILD_SECONDS).strip()
    base = re.findall("^FROM (\\S+)$", (ROOT / folder / "Dockerfile").read_text(), re.MULTILINE)[-1]
    # The base at hand may be another build of the same tag, with more or less in it.
    assert OFFICIAL_BASE + size_of(image) - size_of(base) < 200 * MB


@FOLDERS
def test_two_builds_of_one_checkout_have_the_same_layers(folder: str) -> None:
    need_compose()
    # A version of their own, so that neither is an image that somebody has a name for.
    how = ("build", "--quiet", "--build-arg", f"VERSION={uuid.uuid4()}", "--file", f"{folder}/Dockerfile")
    known = docker(*how, ".", seconds=BUILD_SECONDS).strip()
    again = docker(*how, "--no-cache", ".", seconds=BUILD_SECONDS).strip()
    try:
        assert again != known
        assert layers_of(again) == layers_of(known)
    finally:
        docker("image", "rm", known, again)
