"""Planning of an alignment: which frames there are, which is the reference, and what is written where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..alignment.options import DEFAULT_NEIGHBOURS, LARGEST_CHAIN
from ..errors import InputError, OutputError, ParameterError
from ..formats.transforms import check_suffix
from ..frames.encoding import SUFFIXES, format_of
from ..frames.reading import layout_of, metadata_of
from ..frames.records import Layout
from ..image.quiet import quiet_decoders
from ..io.work_list import ImageFile, Tell, find_images, names_several
from ..io.writing import check_output
from ..words import counted

FIRST, PREVIOUS, MIDDLE = "first", "previous", "middle"
TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Frame:
    """A frame to align."""

    path: str
    index: int
    """Of the frame in its file, from 0."""
    name: str
    """Unique: the path relative to the folder that all share, or the frame's number in a stack, from 1."""
    size: tuple[int, int]

    @property
    def label(self) -> str:
        """How messages refer to it."""
        return f"{self.path}[{self.name}]" if self.name.isdigit() else self.path


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a run writes, as the user names it."""

    output: str | None = None
    valid: str | None = None
    """Masks of what is valid."""
    transforms: str | None = None
    report: str | None = None
    format: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is read and written; already checked."""

    frames: tuple[Frame, ...]
    reference: int
    """Index of the frame that the others are aligned with; of the first one for ``previous``."""
    is_chained: bool
    """Whether frames are matched with the one before them instead of the reference."""
    neighbours: int
    """Further matches of each frame, for the global adjustment; 0 for none."""
    layout: Layout
    """Of the reference."""
    kind: str
    """"file", "folder", "stack", or "" if no picture is written."""
    targets: Targets

    @property
    def is_stack_file(self) -> bool:
        """Whether all frames are those of one file."""
        return len({frame.path for frame in self.frames}) == 1

    @property
    def written(self) -> list[int]:
        """The frames that are written: all, or of two pictures into one file the moving one."""
        every = range(len(self.frames))
        return [i for i in every if i != self.reference] if self.kind == "file" else list(every)

    def path_of(self, root: str, index: int) -> Path:
        """The file of a frame below the output or the folder of masks."""
        if self.kind == "file":
            return Path(root)
        frame = self.frames[index]
        if self.is_stack_file:
            digits = len(str(len(self.frames)))
            return Path(root) / f"{PurePath(frame.path).stem}-{index + 1:0{digits}}{self._suffix(frame)}"
        return Path(root) / PurePath(frame.name).with_suffix(self._suffix(frame))

    def _suffix(self, frame: Frame) -> str:
        suffix = PurePath(frame.path).suffix
        if self.targets.format is not None:
            keeps = SUFFIXES.get(suffix.lower()) == self.targets.format
            return (
                suffix
                if keeps
                else {"tiff": ".tif", "jpeg": ".jpg"}.get(self.targets.format, f".{self.targets.format}")
            )
        return suffix if suffix.lower() in SUFFIXES else ".tif"


def make_plan(
    inputs: Sequence[str | os.PathLike[str]],
    targets: Targets,
    *,
    to: str = FIRST,
    neighbours: int | None = None,
    tell: Tell = lambda _line: None,
) -> Plan:
    """List the frames, choose the reference, and check what is to be written.

    Parameters
    ----------
    inputs
        A reference and pictures to align with it; a stack; folders, patterns and lists.
    targets
        What is written.
    to
        ``"first"``, ``"previous"``, ``"middle"``, or the name of a picture or number of a frame.
    neighbours
        Further matches of each frame; when not given, 5 for more than ten frames.
    tell
        Called with one line of text about pictures that are left out, or differ.

    Raises
    ------
    InputError
        If a picture cannot be read, or there are fewer than two.
    OutputError, ParameterError
        If the outputs exist or do not fit the pictures, or there is no such reference.
    """
    names = [os.fspath(path) for path in inputs]
    files = find_images(names, tell=tell)
    with quiet_decoders():
        frames = _frames(files, tell)
    if len(frames) < 2:
        raise InputError(
            f"{names[0]}: expected a reference and pictures to align with it, or a stack; got one picture"
        )
    reference = _reference(frames, to)
    kind = _kind(targets, frames, is_pair=len(names) == len(files) == len(frames) == 2, names=names)
    chosen = neighbours if neighbours is not None else DEFAULT_NEIGHBOURS * (len(frames) > LARGEST_CHAIN)
    plan = Plan(
        frames=tuple(frames),
        reference=reference,
        is_chained=to == PREVIOUS,
        neighbours=min(chosen, len(frames) - 1),
        layout=layout_of(frames[reference].path),
        kind=kind,
        targets=targets,
    )
    _check_targets(plan)
    _check_layouts(plan, tell)
    return plan


def _frames(files: Sequence[ImageFile], tell: Tell) -> list[Frame]:
    if len(files) == 1:
        sizes = layout_of(files[0].path).sizes
        return [Frame(files[0].path, i, str(i + 1), size) for i, size in enumerate(sizes)]
    frames, n_stacks = [], 0
    for file in files:
        sizes = layout_of(file.path).sizes
        n_stacks += len(sizes) > 1
        frames.append(Frame(file.path, 0, file.name, sizes[0]))
    if n_stacks:
        tell(
            f"{n_stacks} of {counted(len(files), 'file')} with several frames, of which the first is aligned"
        )
    return frames


def _reference(frames: Sequence[Frame], to: str) -> int:
    if to in (FIRST, PREVIOUS):
        return 0
    if to == MIDDLE:
        return len(frames) // 2
    found = [i for i, frame in enumerate(frames) if to in (frame.name, frame.path, PurePath(frame.name).name)]
    if len(found) != 1:
        what = "no frame has" if not found else f"{len(found)} frames have"
        raise ParameterError(
            f"expected first, previous, middle or the name of a frame as --to; {what} the name {to!r}"
        )
    return found[0]


def _kind(targets: Targets, frames: Sequence[Frame], *, is_pair: bool, names: Sequence[str]) -> str:
    if targets.output is None:
        return ""
    if is_pair and PurePath(targets.output).suffix and not any(map(names_several, names)):
        return "file"
    suffix = PurePath(targets.output).suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return "stack"
    if suffix in SUFFIXES:
        raise OutputError(
            f"{targets.output}: expected a folder or a .tif file for {len(frames)} frames; name one"
        )
    return "folder"


def _check_targets(plan: Plan) -> None:
    targets = plan.targets
    if "-" in (targets.output, targets.valid, targets.transforms, targets.report):
        raise ParameterError("align cannot write to the standard output; name a file or a folder")
    if targets.transforms is not None:
        check_suffix(targets.transforms)
    if targets.valid is not None and plan.kind == "":
        raise ParameterError("--valid has no effect without -o; name an output with -o, or drop --valid")
    singles = [targets.transforms, targets.report]
    if plan.kind in ("file", "stack"):
        singles += [targets.output, targets.valid]
    named = [path for path in singles if path is not None]
    if len({os.path.realpath(path) for path in named}) < len(named):
        raise ParameterError("expected different files for the outputs, got the same twice; rename one")
    inputs = {os.path.realpath(frame.path) for frame in plan.frames}
    for path in named:
        if os.path.realpath(path) in inputs:
            raise OutputError(f"{path} is one of the pictures to align; name another output")
        check_output(path, overwrite=targets.overwrite)
    if plan.kind == "file":
        _check_file_format(plan)
    if plan.kind == "folder":
        _check_names(plan)


def _check_file_format(plan: Plan) -> None:
    assert plan.targets.output is not None
    named = format_of(plan.targets.output)
    if named is None and plan.targets.format is None:
        raise OutputError(
            f"{plan.targets.output}: expected a name that ends in {', '.join(SUFFIXES)}, or --format"
        )


def _check_names(plan: Plan) -> None:
    """Refuse pictures that would be written to one file, or over themselves."""
    roots = [root for root in (plan.targets.output, plan.targets.valid) if root is not None]
    inputs = {os.path.realpath(frame.path) for frame in plan.frames}
    for root in roots:
        if Path(root).exists() and not Path(root).is_dir():
            raise OutputError(
                f"{root} is a file; name a folder for {len(plan.frames)} frames, or a .tif file"
            )
        paths: dict[Path, str] = {}
        for i, frame in enumerate(plan.frames):
            path = plan.path_of(root, i)
            if os.path.realpath(path) in inputs:
                raise OutputError(f"{path} is one of the pictures to align; name another folder")
            other = paths.setdefault(path, frame.label)
            if other != frame.label:
                raise OutputError(f"{other} and {frame.label} would both be written to {path}; rename one")


def _check_layouts(plan: Plan, tell: Tell) -> None:
    """Refuse what does not fit into one file, and tell of other sizes."""
    reference = plan.frames[plan.reference]
    for path in dict.fromkeys(frame.path for frame in plan.frames):
        layout = layout_of(path)
        if plan.kind == "stack" and layout.kind != plan.layout.kind:
            raise InputError(
                f"{path}: expected {plan.layout.describe()} as {reference.path} has, "
                f"got {layout.describe()}; write into a folder, or convert it"
            )
    others = sum(frame.size != reference.size for frame in plan.frames)
    if others:
        width, height = reference.size
        tell(
            f"frames of another size than the reference's {width} x {height}: {others} of "
            f"{len(plan.frames)}, padded or cut to the canvas"
        )


def format_for(plan: Plan, index: int) -> str:
    """The format that a frame is written in."""
    if plan.targets.format is not None:
        return plan.targets.format
    if plan.kind == "file":
        return format_of(plan.targets.output or "") or "tiff"
    return metadata_of(plan.frames[index].path).format
