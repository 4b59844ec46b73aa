"""Coverage-guided fuzzing of the image loader and the readers; needs ``pip install atheris``.

    python tests/benchmarks/atheris_fuzz.py FOLDER -max_total_time=600

An empty FOLDER is first filled with valid files. New inputs that reach more code are kept there. The
script stops at the first input that raises anything but ``SiftcliError``. Options are those of libFuzzer.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # before the imports, which need Atheris
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    FOLDER = parser.parse_known_args()[0].folder

import atheris

with atheris.instrument_imports(include=["siftcli.formats", "siftcli.image"]):
    from siftcli.errors import SiftcliError
    from siftcli.formats import FORMATS, load
    from siftcli.image import read_image
    from siftcli.image.quiet import quiet_decoders

sys.path.insert(0, str(Path(__file__).parents[1]))  # shared modules of the tests
sys.path.insert(0, str(Path(__file__).parents[1] / "robustness"))
import hostile
from test_fuzz import GOOD

NAMES = [name for name, entry in FORMATS.items() if entry.can_read and not entry.companions]
TARGET = Path(tempfile.mkdtemp()) / "x"


def one_input(data: bytes) -> None:
    """Read one input: the first byte selects the reader, the rest is the file."""
    if not data:
        return
    TARGET.write_bytes(data[1:])
    with contextlib.suppress(SiftcliError), quiet_decoders():
        choice = data[0] % (len(NAMES) + 1)
        read_image(TARGET) if choice == len(NAMES) else load(TARGET, NAMES[choice])


def fill(folder: Path) -> None:
    """Write valid files to start from."""
    for name, data in hostile.seeds().items():
        (folder / name).write_bytes(bytes([len(NAMES)]) + data)
    for name in NAMES:
        for file, data in GOOD.get(name, []):
            (folder / file).write_bytes(bytes([NAMES.index(name)]) + data)


if __name__ == "__main__":
    if FOLDER.is_dir() and not any(FOLDER.iterdir()):
        fill(FOLDER)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
