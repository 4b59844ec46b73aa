"""PoseLib, which not every system has: what needs it says so before any work, and the rest works."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import siftcli
from siftcli.alignment.options import AlignOptions
from siftcli.errors import MissingDependencyError
from siftcli.evaluation.options import DEFAULT_VALUES
from siftcli.evaluation.poses.settings import PoseSettings
from siftcli.evaluation.settings import BY_HOMOGRAPHY, Settings
from siftcli.matching import random_search
from siftcli.matching.options import MatchOptions
from siftcli.views.rendering import Interpolated
from siftcli.views.transforms import TRANSFORMS

WHERE = r"poselib, which is not installed.*Linux x86-64.*docs/install\.md"


@pytest.fixture
def without_poselib(monkeypatch):
    monkeypatch.setitem(sys.modules, "poselib", None)


@pytest.mark.usefixtures("without_poselib")
@pytest.mark.parametrize("model", ["homography", "fundamental", "essential"])
def test_a_model_of_poselib_is_refused_at_once(model):
    with pytest.raises(MissingDependencyError, match=f"the model '{model}' needs .*{WHERE}.*similarity"):
        MatchOptions(model=model)


@pytest.mark.usefixtures("without_poselib")
@pytest.mark.parametrize("model", ["similarity", "none"])
def test_the_other_models_do_without(model):
    assert MatchOptions(model=model).model == model


@pytest.mark.usefixtures("without_poselib")
@pytest.mark.parametrize(
    ("model", "does_without"),
    [("translation", True), ("rigid", True), ("similarity", True), ("affine", False), ("homography", False)],
)
def test_registration(model, does_without):
    if does_without:
        assert AlignOptions(model=model).model == model
        return
    with pytest.raises(
        MissingDependencyError, match=f"'{model}' needs .*{WHERE}.*translation, rigid, similarity"
    ):
        AlignOptions(model=model)


@pytest.mark.usefixtures("without_poselib")
def test_evaluations():
    assert Settings(detectors=["siftcli"])
    with pytest.raises(MissingDependencyError, match=WHERE):
        Settings(sweeps={"perspective": [30]}, detectors=["siftcli"])
    with pytest.raises(MissingDependencyError, match=WHERE):
        Settings.for_dataset(["pairs"], detectors=["siftcli"])
    with pytest.raises(MissingDependencyError, match=WHERE):
        PoseSettings(detectors=["siftcli"])


@pytest.mark.parametrize("sweep", TRANSFORMS)
def test_sweeps_by_homography_are_known(sweep):
    image = Interpolated(np.random.default_rng(0).random((256, 256)).astype(np.float32))
    pair = TRANSFORMS[sweep](DEFAULT_VALUES[sweep][-1]).pair(image)
    assert pair.similar == (sweep not in BY_HOMOGRAPHY)


@pytest.mark.usefixtures("without_poselib")
def test_verify_in_python(chelsea_pair):
    f, g, matches = chelsea_pair
    with pytest.raises(MissingDependencyError, match=WHERE):
        siftcli.verify(f, g, matches)
    assert siftcli.verify(f, g, matches, model="similarity").rotation_deg == pytest.approx(0, abs=1e-6)


@pytest.fixture
def chelsea_pair():
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    f = siftcli.detect(image, max_features=100)
    return f, f, siftcli.match(f, f)


def test_a_poselib_that_cannot_be_imported_is_told_the_same_way(tmp_path):
    # A package that is found, but whose library does not load.
    Path(tmp_path, "poselib.py").write_text("raise ImportError('libm.so.6: version not found')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"from {random_search.__name__} import homography\n"
        "from siftcli.errors import MissingDependencyError\n"
        "import numpy as np\n"
        "try:\n"
        "    homography(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(4), 1.0)\n"
        "except MissingDependencyError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "libm.so.6: version not found" in done.stdout


def test_the_command_ends_with_one_line(tmp_path):
    program = (
        "import sys; sys.modules['poselib'] = None\n"
        "from siftcli.__main__ import run\n"
        f"sys.exit(run(['match', {str(tmp_path / 'a.png')!r}, {str(tmp_path / 'b.png')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    # Before any work: the two files do not even exist.
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("siftcli: the model 'homography' needs the Python package poselib")
