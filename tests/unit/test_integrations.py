"""The extractor for hloc, in a re-creation of the parts of hloc and torch that touch it.

Neither is on hand in every environment; what is re-created is their interface as published: hloc's base
class of models, how it finds a model by its name, and what it does with the result.
"""

import inspect
import sys
from abc import ABCMeta, abstractmethod
from copy import copy
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from conftest import SAMPLES

import siftcli
from siftcli.errors import InputError, MissingDependencyError, ParameterError
from siftcli.image import read_image
from siftcli.integrations import hloc as adapter

CAMERA = next(path for path in SAMPLES if path.name == "camera.png")


class Tensor:
    """An array with the methods of a tensor that are used here."""

    def __init__(self, array):
        assert isinstance(array, np.ndarray)
        assert array.flags.writeable, "torch warns of arrays that cannot be written"
        self.array = array

    def __getitem__(self, key):
        return Tensor(self.array[key])

    def cpu(self):
        return self

    def numpy(self):
        return self.array


class BaseModel(metaclass=ABCMeta):
    """As hloc's, whose own base is torch's module."""

    default_conf: ClassVar = {}
    required_inputs: ClassVar = []

    def __init__(self, conf):
        self.conf = conf = {**self.default_conf, **conf}
        self.required_inputs = copy(self.required_inputs)
        self._init(conf)

    def __call__(self, data):
        assert all(key in data for key in self.required_inputs)
        return self._forward(data)

    @abstractmethod
    def _init(self, conf): ...

    @abstractmethod
    def _forward(self, data): ...


def dynamic_load(root, name):
    """Find the one class that a module of extractors defines, as hloc does."""
    path = f"{root.__name__}.{name}"
    module = __import__(path, fromlist=[""])
    classes = [found for _, found in inspect.getmembers(module, inspect.isclass)]
    own = [found for found in classes if found.__module__ == path and issubclass(found, BaseModel)]
    assert len(own) == 1
    return own[0]


@pytest.fixture
def hloc(monkeypatch):
    """hloc's package of extractors."""
    names = ("torch", "hloc", "hloc.extractors", "hloc.utils", "hloc.utils.base_model")
    made = {name: ModuleType(name) for name in names}
    for name in ("hloc", "hloc.extractors", "hloc.utils"):
        made[name].__path__ = []
    made["torch"].from_numpy = Tensor
    made["hloc.utils.base_model"].BaseModel = BaseModel
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "hloc.extractors.siftcli", raising=False)
    yield made["hloc.extractors"]
    sys.modules.pop("hloc.extractors.siftcli", None)


def extract(model, grey, original_size):
    """What hloc's extract_features stores of an image: keypoints scaled up, then float32 halved."""
    found = model({"image": Tensor(grey[np.newaxis, np.newaxis])})
    found = {name: value[0].cpu().numpy() for name, value in found.items()}
    scales = (np.array(original_size) / grey.shape[::-1]).astype(np.float32)
    found["keypoints"] = (found["keypoints"] + 0.5) * scales[None] - 0.5
    found["scales"] *= scales.mean()
    for name, value in found.items():
        found[name] = value.astype(np.float16) if value.dtype == np.float32 else value
    return found


def test_hloc_finds_and_runs_it(hloc):
    assert adapter.register() is dynamic_load(hloc, "siftcli")
    model = dynamic_load(hloc, adapter.CONF["model"]["name"])({**adapter.CONF["model"], "max_features": 300})
    grey = read_image(CAMERA).grey
    height, width = grey.shape
    found = extract(model, grey.copy(), (3 * width, 3 * height))
    expected = siftcli.detect(CAMERA, max_features=300, rootsift=True)
    assert found["descriptors"].shape == (128, 300)
    np.testing.assert_allclose(np.linalg.norm(found["descriptors"].astype(float), axis=0), 1, atol=2e-3)
    # Positions survive hloc's halving: they are exact to float32's last bit at 1,536 px.
    wanted = (expected.xy.astype(float) + 0.5) * 3 - 0.5
    np.testing.assert_allclose(found["keypoints"], wanted, atol=1e-9)
    assert wanted.max() > 1024
    assert np.abs(wanted.astype(np.float16) - wanted).max() > 0.2  # what float16 would have cost
    np.testing.assert_allclose(found["oris"], np.rad2deg(expected.orientation), atol=0.13)  # float16 at 256°
    np.testing.assert_allclose(found["scales"], 3 * expected.scale, rtol=1e-3)
    assert all(len(found[name]) == 300 for name in ("scores", "scales", "oris"))


def test_the_configuration_is_checked(hloc):
    made = adapter.register()
    model = made({"name": "siftcli", "preset": "dense", "rootsift": False, "threads": 1})
    assert model.sift_params == siftcli.SiftParams.preset("dense", rootsift=False)
    assert model.threads == 1
    assert made({}).sift_params.rootsift
    with pytest.raises(ParameterError, match=r"must have names among .*; got 'max_keypoints'"):
        made({"max_keypoints": 5})
    with pytest.raises(ParameterError, match="max_features"):
        made({"max_features": -1})


def test_images_of_other_shapes_and_ranges(hloc):
    model = adapter.register()({})
    for shape in ((1, 3, 8, 8), (2, 1, 8, 8), (8, 8)):
        with pytest.raises(InputError, match=r"of shape \(1, 1, H, W\).*set grayscale"):
            model({"image": Tensor(np.zeros(shape, np.float32))})
    with pytest.raises(InputError, match=r"in \[0, 1\], got 0 to 255"):
        model({"image": Tensor(np.linspace(0, 255, 64, dtype=np.float32).reshape(1, 1, 8, 8))})
    empty = model({"image": Tensor(np.zeros((1, 1, 64, 64), np.float32))})
    assert empty["keypoints"].array.shape == (1, 0, 2)
    assert empty["descriptors"].array.shape == (1, 128, 0)


def test_without_hloc_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "hloc", None)
    with pytest.raises(MissingDependencyError, match="needs the Python package hloc"):
        adapter.register()
