"""Whoever builds an image once more can see that it is the same: nothing got in on the way."""

import json
import uuid
from typing import Any

import pytest

from tests.support.compose import docker, need_compose

pytestmark = pytest.mark.compose

BUILD_SECONDS = 900


def layers_of(build: str) -> Any:
    return json.loads(docker("image", "inspect", build))[0]["RootFS"]["Layers"]


@pytest.mark.parametrize("folder", ["services/auth", "services/users", "gateway"])
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
