"""Asks for known vulnerabilities of every locked package.

The exit code is 1 when there are some, and 2 when not everything could be asked.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.process import ROOT

VULNERABLE, NOT_ASKED = 1, 2
_SECONDS = 300


def main(locks: list[Path]) -> int:
    """Says what is known about the packages of each of these lock files."""
    codes = set()
    for lock in locks:
        print(f"{lock.name}:")
        codes.add(ask(lock))
    return next((code for code in (VULNERABLE, NOT_ASKED) if code in codes), 0)


def ask(lock: Path) -> int:
    """Says what is known about the packages of one lock file."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--requirement", str(lock)]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"No vulnerability was looked for: there was no answer within {_SECONDS} s.")
        return NOT_ASKED
    return verdict(asked.stdout, asked.stderr)


def verdict(output: str, complaints: str = "") -> int:
    """What pip-audit's answer means; it says nothing wrong of packages that nobody told it about."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        print(f"No vulnerability was looked for: {(complaints.strip().splitlines() or ['no answer'])[-1][:200]}")
        return NOT_ASKED
    for package in packages:
        for found in package.get("vulns", ()):
            fixed = ", ".join(found["fix_versions"]) or "no release"
            print(f"{package['name']} {package['version']} has {found['id']}, fixed in {fixed}")
    vulnerable = [package for package in packages if package.get("vulns")]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        print(f"Nothing could be learned about {len(unknown)} of {len(packages)} packages: {', '.join(unknown[:5])} …")
    print(f"{len(packages) - len(unknown)} packages were looked up, {len(vulnerable)} are vulnerable.")
    if vulnerable:
        return VULNERABLE
    return NOT_ASKED if unknown or not packages else 0


if __name__ == "__main__":
    sys.exit(main(sorted(ROOT.glob("requirements*.txt"))))
