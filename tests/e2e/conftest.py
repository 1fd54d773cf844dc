"""What the tests with containers share: one stack, built and started once."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import ComposeProject, need_compose
from tests.support.edge import EdgeProject, make_certificate, need_image
from tests.support.settings import UNLIMITED
from tools.process import ROOT

# All tests together are one network, and some of their phones refresh without a pause.
_GENEROUS = {**UNLIMITED, "SESSION_REFRESHES_PER_MINUTE": "1000000", "NETWORK_SIGN_UPS_PER_MINUTE": "1000000"}


@pytest.fixture(scope="session")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env as a new person makes it."""
    path = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([ROOT / "deploy" / "new-env", path], check=True)
    return path


@pytest.fixture(scope="session")
def project(env_file: Path) -> Iterator[ComposeProject]:
    """The whole stack, built and started once; a test that changes it puts it back."""
    need_compose()
    running = ComposeProject(env_file, **_GENEROUS)
    try:
        running.build()
        running.up()
        yield running
    finally:
        running.down()
    assert running.remains() == []


@pytest.fixture(scope="session")
def edge(env_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProject]:
    """A stack with two gateways behind the edge, which this process trusts; a test that changes it puts it back."""
    need_compose()
    need_image()
    certificates = tmp_path_factory.mktemp("edge") / "certificates"
    make_certificate(certificates)
    running = EdgeProject(env_file, certificates, **_GENEROUS, CONNECTIONS_PER_NETWORK="600")
    try:
        running.build()
        running.up("--scale", "gateway=2")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(running.certificate))
            yield running
    finally:
        running.down()
    assert running.remains() == []
