"""Parameters: those of earlier versions are read, and the help names only what a user can set."""

import re
from dataclasses import fields

import numpy as np
import pytest
from conftest import texture

import siftcli
from siftcli import SiftParams
from siftcli.cli._options import SIFT_OPTIONS
from siftcli.errors import InputError, ParameterError
from siftcli.formats import load, save
from siftcli.presets import PRESETS

EARLIER = {"min_octave_side": 12, "max_offset": 0.6, "max_moves": 5, "min_sigma": 0.0, "dsp_ratio": 1.7}


def as_written_before(params: SiftParams) -> dict:
    """The record that a version without ``refinement`` wrote."""
    record = params.to_dict() | EARLIER
    if record.pop("refinement") == "lowe":
        record["fit_window"] = 0.0
    return record


@pytest.mark.parametrize("preset", PRESETS)
def test_records_of_this_and_of_earlier_versions_are_read(preset):
    params = SiftParams.preset(preset, max_features=7)
    assert SiftParams.from_dict(params.to_dict()) == params
    assert SiftParams.from_dict(as_written_before(params)) == params


@pytest.mark.parametrize(("name", "value"), [("min_sigma", 1.0), ("dsp_ratio", 2), ("max_moves", None)])
def test_what_can_no_longer_be_set_is_refused_where_it_was_set(name, value):
    with pytest.raises(ParameterError, match=f"{name} is now always {EARLIER[name]}; got {value}"):
        SiftParams.from_dict(as_written_before(SiftParams()) | {name: value})
    with pytest.raises(ParameterError, match=f"unknown parameter {name!r}"):
        SiftParams().override(**{name: EARLIER[name]})


def test_unknown_names_of_a_record_are_refused():
    with pytest.raises(ParameterError, match="unknown parameter 'colour'"):
        SiftParams.from_dict({"colour": 1})


def test_the_window_of_the_fit_no_longer_chooses_the_refinement():
    with pytest.raises(ParameterError, match="fit_window must be between"):
        SiftParams(fit_window=0)
    with pytest.raises(ParameterError, match="refinement must be one of lowe, least-squares"):
        SiftParams(refinement="none")
    image = texture((90, 90), smoothness=0.8)
    lowe, same, other = (
        siftcli.detect(image, refinement=refinement, fit_window=window)
        for refinement, window in (("lowe", 0.4), ("lowe", 1.0), ("least-squares", 0.4))
    )
    np.testing.assert_array_equal(lowe.xy, same.xy)
    assert len(lowe) != len(other) or not np.array_equal(lowe.xy, other.xy)


@pytest.mark.parametrize("name", ["npz", "json"])
def test_files_of_earlier_versions_are_read(tmp_path, monkeypatch, name):
    features = siftcli.detect(texture((60, 60), smoothness=0.8), SiftParams.classic(max_features=5))
    file = tmp_path / f"features.{name}"
    for record, fails in (
        (as_written_before(features.params), False),
        (as_written_before(features.params) | {"min_sigma": 0.5}, True),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(SiftParams, "to_dict", lambda _, record=record: record)
            file.unlink(missing_ok=True)
            save(features, file)
        if fails:
            with pytest.raises(InputError, match=r"min_sigma is now always 0\.0; got 0\.5"):
                load(file)
        else:
            assert load(file).params == features.params


def test_the_help_of_an_option_names_only_options_and_no_default():
    by_name = {f.name: f for f in fields(SiftParams)}
    for name in SIFT_OPTIONS:
        doc = by_name[name].metadata["doc"]
        assert set(re.findall(r"\w+_\w+", doc)) <= set(SIFT_OPTIONS), name
        assert "default" not in doc


def test_features_keep_an_array_that_cannot_change_and_copy_one_that_can():
    features = siftcli.detect(texture((60, 60), smoothness=0.8))
    names = ("xy", "scale", "orientation", "response", "sign", "octave", "descriptors")
    columns = {name: getattr(features, name) for name in names}
    again = siftcli.Features(**columns, image_size=features.image_size)
    assert all(getattr(again, name) is column for name, column in columns.items())
    own = features.descriptors.copy()
    view = own[:]
    view.flags.writeable = False
    for given in (own, view, own.astype(np.int64), np.asfortranarray(own)):
        copied = siftcli.Features(**{**columns, "descriptors": given}, image_size=features.image_size)
        own[:] = 0
        np.testing.assert_array_equal(copied.descriptors, features.descriptors)
        assert not copied.descriptors.flags.writeable
        own[:] = features.descriptors
