"""Shared fixtures: the sample images, and synthetic images with known keypoints."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from siftcli.image import read_image
from siftcli.kernels.vectors import LANES
from siftcli.sift.octave import Strip
from siftcli.views.pairs import Pair
from siftcli.views.planar import Region

# No deadline, nor one for making the input: the machine may be busy, and kernels are compiled on first use.
settings.register_profile("siftcli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("siftcli")

HAS_POSELIB = find_spec("poselib") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip what ended for want of PoseLib, which PyPI has for few systems: Linux on ARM is not among them.

    The want is told by siftcli itself, in the error, in what was printed, or in what a command printed.
    """
    report = yield
    if report.failed and not HAS_POSELIB:
        printed = [text for _, text in report.sections]
        command = str(getattr(call.excinfo.value, "stderr", ""))
        text = "\n".join([report.longreprtext, *printed, command])
        if "needs the Python package poselib" in text or "No module named 'poselib'" in text:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1], "PoseLib is not installed")
    return report


SAMPLES = sorted(
    p for p in (Path(__file__).parents[1] / "sample_images").iterdir() if p.suffix in {".png", ".jpg"}
)


def octave_of(levels, sigma=1.6) -> Strip:
    """A whole octave with step 1 from levels (S + 3, H, W)."""
    n_levels, height, width = np.shape(levels)
    levels = np.pad(np.asarray(levels, np.float32), [(0, 0), (0, 0), (0, 2 * LANES - width % LANES)])
    return Strip(
        number=0,
        shape=(height, width),
        n_scales=n_levels - 3,
        sigma=sigma,
        step=1.0,
        origin=(0.0, 0.0),
        levels=levels,
        rows=(0, height),
    )


@pytest.fixture(scope="session")
def unchanged() -> Pair:
    """A pair of identical views, cropped from a sample image."""
    camera = next(path for path in SAMPLES if path.name == "camera.png")
    picture = np.rint(255 * grey(camera)[60:260, 100:300]).astype(np.uint8)
    region = Region.whole(picture.shape)
    return Pair(picture, picture, np.eye(3), region, region, margin_px=0.0)


def grey(path: Path) -> np.ndarray:
    return read_image(path).grey


def blobs(shape, centres, sigmas, contrast=0.4, background=0.5):
    """A grey image of Gaussian blobs: (H, W), centres (x, y), standard deviations in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, background)
    for (cx, cy), s in zip(centres, sigmas, strict=True):
        image += contrast * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2))
    return np.ascontiguousarray(image, dtype=np.float32)


def texture(shape, seed=0, smoothness=2.0):
    """A smooth random image in [0, 1] with structure at several scales."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal(shape)
    image = sum(gaussian_filter(noise, smoothness * k) * k for k in (1, 2, 4))
    image -= image.min()
    return np.ascontiguousarray(image / image.max(), dtype=np.float32)


@pytest.fixture(params=SAMPLES, ids=lambda p: p.name)
def sample(request) -> Path:
    return request.param
