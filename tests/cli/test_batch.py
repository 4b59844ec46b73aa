"""The work list: which images, which outputs."""

import os

import pytest

from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.io import suffixes
from siftcli.io.work_list import find_images
from siftcli.params import SiftParams
from siftcli.workflows.detect import run
from siftcli.workflows.detect_plan import make_plan


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Folders with files named as images; their content does not matter here."""
    for name in (
        "in/b.png",
        "in/a.JPG",
        "in/sub/c.tif",
        "in/.hidden.png",
        "in/.git/d.png",
        "in/notes.txt",
        "two/b.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(images):
    return [image.name for image in images]


def test_a_folder_is_searched_by_suffix_recursively_and_sorted(tree):
    images = find_images(["in"])
    assert names(images) == ["a.JPG", "b.png", "sub/c.tif"]
    assert [image.path for image in images] == ["in/a.JPG", "in/b.png", "in/sub/c.tif"]


def test_files_are_taken_as_given_and_once(tree):
    assert names(find_images(["in/notes.txt", "in/b.png", "in/../in/b.png"])) == ["notes.txt", "b.png"]
    assert names(find_images(["in/b.png", "in"])) == ["b.png", "a.JPG", "sub/c.tif"]


def test_names_are_relative_to_the_folder_that_all_share(tree):
    assert names(find_images(["in", "two"])) == ["in/a.JPG", "in/b.png", "in/sub/c.tif", "two/b.png"]
    assert names(find_images(["in/b.png", "two/b.png"])) == ["in/b.png", "two/b.png"]
    os.chdir(tree / "in")
    assert names(find_images(["b.png", "../two/b.png"])) == ["in/b.png", "two/b.png"]


def test_linked_folders_are_visited_once(tree):
    (tree / "in/loop").symlink_to(tree / "in")
    (tree / "in/other").symlink_to(tree / "two")
    (tree / "in/other2").symlink_to(tree / "two")
    assert names(find_images(["in"])) == ["a.JPG", "b.png", "other/b.png", "sub/c.tif"]


def test_patterns(tree):
    assert names(find_images(["in/*.png"])) == ["b.png"]
    assert names(find_images(["**/b.png"])) == ["in/b.png", "two/b.png"]
    assert names(find_images(["t*"])) == ["b.png"]
    (tree / "in/[x].png").touch()
    assert names(find_images(["in/[x].png"])) == ["[x].png"]
    with pytest.raises(InputError, match="no file matches"):
        find_images(["in/*.bmp"])
    assert make_plan(["in/b*.png"], output="out").is_batch


def test_lists(tree):
    (tree / "list.txt").write_bytes(b"in/b.png\r\n\ntwo\nin/*.JPG\n")
    assert names(find_images(["list.txt"])) == ["in/b.png", "two/b.png", "in/a.JPG"]
    for encoding in ("utf-8-sig", "utf-16", "utf-16-be"):
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        (tree / "list.txt").write_bytes(f"{mark}in/ä.png\r\ntwo\r\n".encode(encoding))
        assert names(find_images(["list.txt"])) == ["in/ä.png", "two/b.png"]
    (tree / "list.txt").write_bytes(b"\xff\xfei\0n\0/")
    with pytest.raises(InputError, match=r"list\.txt: expected UTF-16"):
        find_images(["list.txt"])
    (tree / "list.txt").write_bytes(b"in/\xff.png\n")
    (tree / "in" / "\udcff.png").touch()
    assert names(find_images(["list.txt"])) == ["\udcff.png"]
    for bad in (b"", b"\n", b"a\0b\n"):
        (tree / "list.txt").write_bytes(bad)
        with pytest.raises(InputError, match=r"list\.txt(, line 1)?: expected"):
            find_images(["list.txt"])


def test_folder_without_images(tree):
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected a folder with images"):
        make_plan(["empty"])
    for inputs in ([], [""], ["in", ""]):
        with pytest.raises(InputError, match="none"):
            find_images(inputs)


def test_pictures_that_are_not_read_are_told(tree, monkeypatch):
    for name in ("in/d.HEIC", "in/sub/e.heic", "in/f.dng", "in/g.psd", "in/h.psd", "in/.hidden.psd"):
        (tree / name).touch()
    told = []
    monkeypatch.setattr(suffixes, "find_spec", lambda _: None)
    assert names(find_images(["in", "in/sub"], tell=told.append)) == ["a.JPG", "b.png", "sub/c.tif"]
    assert told == [
        "in/sub/c.tif: given more than once, read once (1 such image)",
        "skipped 5: 2 .heic (pip install 'siftcli[heif]' reads them), "
        "1 .dng (pip install 'siftcli[raw]' reads them), 2 .psd (not read; convert them)",
    ]
    monkeypatch.setattr(suffixes, "find_spec", lambda name: name == "rawpy" or None)
    assert "f.dng" in names(find_images(["in"], tell=told.append))
    assert (
        told[2]
        == "skipped 4: 2 .heic (pip install 'siftcli[heif]' reads them), 2 .psd (not read; convert them)"
    )
    monkeypatch.setattr(suffixes, "find_spec", lambda name: name)
    assert names(find_images(["in"]))[:3] == ["a.JPG", "b.png", "d.HEIC"]
    find_images(["in/d.HEIC", "two"], tell=told.append)
    assert len(told) == 3  # nothing was skipped


def test_a_folder_of_nothing_but_unread_pictures(tree, monkeypatch):
    monkeypatch.setattr(suffixes, "find_spec", lambda _: None)
    (tree / "new").mkdir()
    (tree / "new/a.heic").touch()
    with pytest.raises(InputError, match=r"found none \(skipped 1: 1 \.heic \(pip install 'siftcli\[heif\]'"):
        find_images(["new"])


def planned(plan):
    return [str(job.output) for job in plan.jobs]


def test_outputs_of_one_image(tree):
    assert planned(make_plan(["in/b.png"], output="x.csv")) == ["x.csv"]
    assert planned(make_plan(["in/b.png"], output="x.dat", format="json")) == ["x.dat"]
    assert planned(make_plan(["in/b.png"], output="out")) == ["out/b.png.npz"]
    assert planned(make_plan(["in/b.png"], output="two", format="csv")) == ["two/b.png.csv"]
    assert planned(make_plan(["in/b.png"], output="new.d/")) == ["new.d/b.png.npz"]
    assert planned(make_plan(["in/b.png"], output="/dev/null")) == ["/dev/null"]
    assert make_plan(["in/b.png"], output="-", format="npz").to_stdout


def test_outputs_of_several_images(tree):
    plan = make_plan(["in"], output="out", drawing="pictures", format="csv")
    assert planned(plan) == ["out/a.JPG.csv", "out/b.png.csv", "out/sub/c.tif.csv"]
    assert str(plan.jobs[2].drawing) == "pictures/sub/c.tif.png"


def test_masks_of_several_images(tree):
    (tree / "masks").mkdir()
    (tree / "masks/b.png.png").touch()
    plan = make_plan(["in"], mask="masks")
    assert [str(job.mask) for job in plan.jobs] == [
        "masks/a.JPG.png",
        "masks/b.png.png",
        "masks/sub/c.tif.png",
    ]
    plan = make_plan(["in"], mask="masks", mask_optional=True)
    assert [str(job.mask) for job in plan.jobs] == ["None", "masks/b.png.png", "None"]


@pytest.mark.parametrize(
    ("inputs", "options", "error"),
    [
        (["in"], {"output": "all.npz"}, ParameterError),
        (["in"], {"output": ""}, ParameterError),
        (["in"], {"output": "in/notes.txt"}, ParameterError),
        (["in"], {"output": "-", "format": "csv"}, ParameterError),
        (["in/b.png"], {"output": "-"}, ParameterError),
        (["in"], {"drawing": "in/notes.txt"}, ParameterError),
        (["in"], {"mask": "none.png"}, ParameterError),
        (["in/b.png"], {"drawing": "x.jpg"}, ParameterError),
        (["in/b.png"], {"output": "x.xyz"}, OutputError),
        (["in/b.png"], {"output": "none/x.npz"}, OutputError),
        (["in/b.png"], {"output": "in/notes.txt/deep/"}, OutputError),
        (["in"], {"output": "in/notes.txt/deep"}, OutputError),
        (["in/b.png"], {"output": "in/notes.txt", "format": "csv"}, OutputError),
        (["in/b.png"], {"drawing": "in/b.png", "overwrite": True}, OutputError),
    ],
)
def test_wrong_use_is_found_before_any_work(tree, inputs, options, error):
    with pytest.raises(error) as caught:
        make_plan(inputs, **options)
    assert "\n" not in str(caught.value)


def test_existing_files_in_the_output_folder_are_refused(tree):
    (tree / "out/sub").mkdir(parents=True)
    for name in ("c.tif.npz", "c.tif.csv"):
        (tree / "out/sub" / name).touch()
    with pytest.raises(OutputError, match=r"c\.tif\.npz exists; pass --overwrite"):
        next(run(make_plan(["in"], output="out"), SiftParams()))
    with pytest.raises(OutputError, match=r"c\.tif\.csv exists; pass --overwrite"):
        make_plan(["in"], output="out", format="csv")
    make_plan(["in"], output="out", overwrite=True)
