"""Coverage-guided fuzzing of the image loader and the readers; ``pip install atheris`` first.

    python tests/benchmarks/atheris_fuzz.py FOLDER -max_total_time=600

It fills an empty FOLDER with whole files, keeps what it finds there,
and stops at the first input that raises anything but ``SiftcliError``.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["siftcli.formats", "siftcli.image"]):
    from siftcli.errors import SiftcliError
    from siftcli.formats import FORMATS, load
    from siftcli.image import read_image
    from siftcli.image.quiet import quiet_decoders

sys.path.insert(0, str(Path(__file__).parents[1]))  # what tests share
sys.path.insert(0, str(Path(__file__).parents[1] / "robustness"))
import hostile
from test_fuzz import GOOD

NAMES = [name for name, entry in FORMATS.items() if entry.can_read and not entry.companions]
TARGET = Path(tempfile.mkdtemp()) / "x"


def one_input(data: bytes) -> None:
    """The first byte chooses the reader, the rest is the file."""
    if not data:
        return
    TARGET.write_bytes(data[1:])
    with contextlib.suppress(SiftcliError), quiet_decoders():
        choice = data[0] % (len(NAMES) + 1)
        read_image(TARGET) if choice == len(NAMES) else load(TARGET, NAMES[choice])


def fill(folder: Path) -> None:
    """Give it whole files to begin with."""
    for name, data in hostile.seeds().items():
        (folder / name).write_bytes(bytes([len(NAMES)]) + data)
    for name in NAMES:
        for file, data in GOOD.get(name, []):
            (folder / file).write_bytes(bytes([NAMES.index(name)]) + data)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if Path(argument).is_dir() and not any(Path(argument).iterdir()):
            fill(Path(argument))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
