"""Print the lowest versions that pyproject.toml allows, as pins.

    python tests/benchmarks/minimum_versions.py > pins.txt

Users may have any of these versions, so security advisories are looked up for them:
``pip-audit --no-deps --disable-pip -r pins.txt`` (``pip install pip-audit``; it asks PyPI).
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"([A-Za-z0-9-]+)(?:\[[a-z,]+\])?(?:>=([0-9.]+))?(?:;.*)?")


def pins() -> list[str]:
    """``name==version`` for every requirement of siftcli and of its extras except ``dev``."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for name in extras if name != "dev" for r in extras[name])]
    found = [_REQUIREMENT.fullmatch(requirement) for requirement in wanted]
    assert all(found), wanted
    return sorted({f"{match[1]}=={match[2]}" for match in found if match[2]})


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print("\n".join(pins()))
