"""Checks the licences of what the images bring: everything must be free to be used in a closed product."""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from tools.process import ROOT

LOCKS = ("services/auth/requirements.txt", "services/users/requirements.txt", "gateway/requirements.txt")
# As SPDX and as the classifiers of older packages name them. The weak copylefts ask for nothing while the library stays
# as it is: psycopg (LGPL), certifi (MPL).
ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Zope Public|ZPL|Unlicense|CC0|0BSD|LGPL|Lesser General|MPL"
    r"|Mozilla Public License"
)
_PINNED = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE | re.IGNORECASE)


def main() -> int:
    """Names every package whose licence is none of the allowed ones; the exit code."""
    names = sorted({name for lock in LOCKS for name in _PINNED.findall((ROOT / lock).read_text())})
    licences = {name: licence_of(name) for name in names}
    absent = sorted(name for name, found in licences.items() if found is None)
    refused = {name: found for name, found in licences.items() if found is not None and not allowed(found)}
    for name, found in refused.items():
        print(f"{name} has the licence {found or 'that it does not name'}, which is none of the allowed ones")
    print(f"{len(names) - len(absent)} licences were read, {len(refused)} are none of the allowed ones.")
    if absent:
        print(f"Not for this system, so not read: {', '.join(absent)}.")
    return 1 if refused else 0


def allowed(licence: str) -> bool:
    """Whether each part that must be kept at once is allowed; of alternatives one is enough."""
    parts = re.split(r" AND |; ", licence)
    return bool(licence) and all(any(ALLOWED.search(one) for one in re.split(r" OR ", part)) for part in parts)


def licence_of(name: str) -> str | None:
    """The licence that a package names, "" when it names none, None when it is not installed."""
    try:
        package: Distribution = distribution(name)
    except PackageNotFoundError:
        return None
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier", []) if "License ::" in one]
    return "; ".join(classifiers) or (metadata.get_all("License", []) or [""])[0].partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
