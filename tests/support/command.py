"""An operator, who types `python -m services.auth …`."""

import json
import subprocess
import sys
from typing import Any

from tools.process import ROOT
from tools.stack import Stack

_COMMAND_SECONDS = 60


class Operator:
    """Runs auth's commands with the environment of auth, and other `settings`."""

    def __init__(self, stack: Stack, **settings: str) -> None:
        self._environment = {**stack.environment("auth"), **settings}

    def try_to(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command, which may fail; `typed` is its standard input."""
        return subprocess.run(
            [sys.executable, "-m", "services.auth", *words],
            cwd=ROOT,
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def do(self, *words: str, typed: str = "") -> str:
        """What a command says; fails when the command does."""
        finished = self.try_to(*words, typed=typed)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def ask(self, *words: str, typed: str = "") -> Any:
        """The answer of a command as a machine reads it."""
        return json.loads(self.do(*words, "--json", typed=typed))
