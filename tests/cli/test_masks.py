"""Which mask belongs to which image, and in whose frame it lies."""

from pathlib import Path

import numpy as np
import pytest
from conftest import texture
from PIL import Image

from siftcli import detect, load
from siftcli.__main__ import run
from siftcli.errors import ParameterError
from siftcli.workflows.detect_plan import make_plan

ORIENTATION = 0x0112
SHOWN = np.rint(255 * texture((80, 96), seed=3)).astype(np.uint8)
SPLIT = 60
"""The masks keep what lies right of this column: less than half, so that no turn or mirror keeps the same."""
OPTIONS = ("--contrast-threshold", "0.004", "-q")


def stored(shown, orientation):
    """The pixels that a file with this EXIF orientation stores, so that a viewer shows ``shown``."""
    if orientation in (2, 3, 6, 7):
        shown = shown[:, ::-1]
    if orientation in (3, 4, 7, 8):
        shown = shown[::-1]
    return np.swapaxes(shown, 0, 1) if orientation >= 5 else shown


def save(path, array, orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path, exif=exif)


def right_part(shape):
    mask = np.zeros(shape, np.uint8)
    mask[:, SPLIT:] = 255
    return mask


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sorted_xy(features):
    return sorted(map(tuple, features.xy.tolist()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("output", "in_stored_frame"),
    [("npz", False), ("csv", False), ("db", True), ("h5", True), ("feat", True)],
)
@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_the_right_part_is_kept_whatever_the_exif_orientation(
    here, orientation, output, in_stored_frame, exif
):
    save(here / "a.png", stored(SHOWN, orientation), orientation)
    frame = stored(SHOWN, orientation) if in_stored_frame or exif == "ignore" else SHOWN
    Image.fromarray(right_part(frame.shape)).save("mask.png")
    options = [*OPTIONS, "--exif-orientation", exif]
    for name, extra in (("all", []), ("masked", ["--mask", "mask.png"])):
        assert run(["detect", "a.png", "-o", f"{name}.{output}", *extra, *options]) == 0
    everything, kept = (load(f"{name}.{output}") for name in ("all", "masked"))
    # A centre belongs to the pixel it lies on; files of text round it to single precision.
    expected = [xy for xy in sorted_xy(everything) if xy[0] >= SPLIT - 0.5]
    assert 3 <= len(expected) < len(everything) / 2
    assert sorted_xy(kept) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("output", ["npz", "h5"])
def test_a_mask_is_turned_by_its_own_exif_orientation_first(here, orientation, output):
    save(here / "a.png", SHOWN)
    save(here / "mask.png", stored(right_part(SHOWN.shape), orientation), orientation)
    assert run(["detect", "a.png", "-o", f"x.{output}", "--mask", "mask.png", *OPTIONS]) == 0
    kept = load(f"x.{output}")
    assert len(kept) >= 3
    assert kept.xy[:, 0].min() >= SPLIT - 0.5


def test_without_an_output_and_in_python_a_mask_lies_on_the_turned_picture(here, capsys):
    save(here / "a.png", stored(SHOWN, 6), 6)
    mask = right_part(SHOWN.shape)
    found = detect("a.png", mask=mask, contrast_threshold=0.004)
    assert found.xy[:, 0].min() >= SPLIT - 0.5
    Image.fromarray(mask).save("mask.png")
    assert run(["detect", "a.png", "--mask", "mask.png", *OPTIONS[:2], "--json"]) == 0
    assert f'"n_keypoints": {len(found)},' in capsys.readouterr().out


def test_one_mask_for_all(here, capsys):
    for name in ("in/a.png", "in/sub/b.png"):
        save(here / name, SHOWN)
    Image.fromarray(right_part(SHOWN.shape)).save("in/mask.png")
    assert run(["detect", "in", "-o", "out", "--mask", "in/mask.png", *OPTIONS[:2]]) == 0
    assert "skipped 1 mask among the images\n" in capsys.readouterr().err
    assert sorted(str(p.relative_to("out")) for p in Path("out").rglob("*.npz")) == [
        "a.png.npz",
        "sub/b.png.npz",
    ]
    for path in Path("out").rglob("*.npz"):
        assert load(path).xy[:, 0].min() >= SPLIT - 0.5
    save(here / "in/c.png", SHOWN[:70])
    assert run(["detect", "in", "-o", "out", "--mask", "in/mask.png", *OPTIONS]) == 1
    assert "c.png" in Path("out/failures.csv").read_text()


def masks_of(inputs, mask, **options):
    plan = make_plan(inputs, mask=mask, **options)
    return {job.image.name: job.mask and str(job.mask) for job in plan.jobs}


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize("mask", ["a.jpg.png", "a.jpg.mask.png", "a.png", "a.mask.png"])
@pytest.mark.parametrize("folder", ["masks", "in", "in/masks"])
def test_names_of_masks(here, mask, folder):
    touch("in/sub/a.jpg", "in/b.jpg", f"{folder}/sub/{mask}")
    found = masks_of(["in"], folder, mask_optional=True)
    assert found == {"b.jpg": None, "sub/a.jpg": f"{folder}/sub/{mask}"}
    assert masks_of(["in"], folder)["b.jpg"] == f"{folder}/b.jpg.png"  # told as missing when it is read


def test_a_mask_of_the_image_s_own_name_in_another_folder(here):
    touch("in/a.png", "masks/a.png")
    assert masks_of(["in"], "masks") == {"a.png": "masks/a.png"}
    assert masks_of(["in/a.png"], "masks") == {"a.png": "masks/a.png"}


def test_images_in_a_folder_below_that_of_the_masks(here):
    touch("in/a.jpg", "a.jpg.png")
    assert masks_of(["in"], ".") == {"a.jpg": "a.jpg.png"}


def test_two_masks_of_an_image_are_refused(here):
    touch("in/a.jpg", "masks/a.jpg.png", "masks/a.png")
    with pytest.raises(ParameterError, match=r"in/a\.jpg has two masks, masks/a\.jpg\.png and masks/a\.png"):
        make_plan(["in"], mask="masks")


def test_a_mask_that_fits_two_images_is_refused(here):
    touch("in/a.jpg", "in/a.tif", "masks/a.png")
    with pytest.raises(
        ParameterError, match=r"masks/a\.png could mask in/a\.jpg and in/a\.tif; .*a\.jpg\.png"
    ):
        make_plan(["in"], mask="masks")
    touch("masks/b.png")
    assert masks_of(["in/a.jpg"], "masks") == {"a.jpg": "masks/a.png"}


def test_a_missing_mask_for_several_images_is_found_before_any_work(here):
    touch("in/a.jpg", "in/b.jpg")
    with pytest.raises(ParameterError, match=r"none\.png: no such mask or folder of masks"):
        make_plan(["in"], mask="none.png")
