"""Reconstruct a scene from a detector's features with COLMAP's mapper, and compare it with the truth.

Features go through siftcli's own database writer. Every pair of views is matched as everywhere in this
evaluation (mutual nearest neighbours, ratio) and verified by COLMAP with the known intrinsics, which the
mapper keeps. So detectors differ in nothing but their features.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...detectors.quiet_pycolmap import FATAL, import_pycolmap
from ...formats._collections import WriteOptions, open_writer
from ...matching import nearest
from ...matching.options import DEFAULT_RATIO
from ..work import Record, reason_of
from . import options
from .alignment import FoundCamera, compare
from .cameras import PIXEL_CENTRE
from .detection import Detection, ViewDetector
from .scenes import Scene, View
from .settings import PoseSettings

VERIFICATION_SEED = 0


@dataclass(frozen=True, eq=False)
class ReconstructionTask:
    """A scene, a detector and a budget."""

    scene: str
    views: Sequence[View]
    budget: str
    detector: str

    @property
    def key(self) -> tuple[str, ...]:
        """Identifies the task within a run."""
        return "reconstruction", self.scene, self.budget, self.detector

    @property
    def where(self) -> Record:
        """What its rows have in common."""
        return {
            "kind": "reconstruction",
            "scene": self.scene,
            "budget": self.budget,
            "detector": self.detector,
        }


def plan_reconstructions(scene: Scene, settings: PoseSettings) -> list[ReconstructionTask]:
    """Tasks for every detector and budget of a scene, if reconstructions are asked for."""
    if not settings.reconstruct:
        return []
    plain = [replace(view, points=np.empty(0, np.int64)) for view in scene.views]
    return [
        ReconstructionTask(scene.name, plain, budget, detector)
        for detector in settings.detectors
        for budget in settings.budgets
    ]


class Reconstructor:
    """Runs tasks one after the other, on one thread."""

    def __init__(self, settings: PoseSettings, detector: ViewDetector) -> None:
        self.settings, self.detector = settings, detector

    def run(self, task: ReconstructionTask) -> list[Record]:
        """One row for each seed of the mapper; a failure becomes a row with an ``error``."""
        try:
            return list(self._rows(task))
        except Exception as error:  # a failure is recorded as a result
            return [{**task.where, "error": reason_of(error)}]

    def _rows(self, task: ReconstructionTask) -> Iterator[Record]:
        found = [
            self.detector.detect(view, task.scene, task.detector, task.budget, options.CLEAN)
            for view in task.views
        ]
        with tempfile.TemporaryDirectory(prefix="siftcli-") as folder:
            database = Path(folder) / "database.db"
            write_features(database, task.views, found)
            write_geometries(database, task.views, found)
            for seed in self.settings.seeds:
                yield {
                    **task.where,
                    "seed": seed,
                    "n_views": len(task.views),
                    "n_features": float(np.median([len(d.features) for d in found])),
                    **_mapped(database, task.views, seed),
                }


def write_features(database: Path, views: Sequence[View], found: Sequence[Detection]) -> None:
    """Write a COLMAP database with the features of the views, as ``siftcli detect`` writes one."""
    images: dict[str, str | None] = {view.name: None for view in views}  # no EXIF: cameras are known
    given = WriteOptions(images=images, camera="per-image", camera_model="PINHOLE", pose_priors=False)
    with open_writer(database, "colmap-db", given) as writer:
        for view, detection in zip(views, found, strict=True):
            writer.write(view.name, detection.features)


def write_geometries(database: Path, views: Sequence[View], found: Sequence[Detection]) -> None:
    """Write the known cameras, and for every pair of views its matches and its two-view geometry."""
    pycolmap = import_pycolmap(FATAL)
    with closing(pycolmap.Database.open(database)) as opened:
        ids, cameras = [], []
        for view, detection in zip(views, found, strict=True):
            image = opened.read_image_with_name(view.name)
            camera = opened.read_camera(image.camera_id)
            known = detection.camera
            camera.params = [known.fx, known.fy, known.cx, known.cy]
            camera.has_prior_focal_length = True
            opened.update_camera(camera)
            ids.append(image.image_id)
            cameras.append(camera)
        for i, j in combinations(range(len(views)), 2):
            f, g = found[i].features, found[j].features
            pairs = nearest.match(f, g, ratio=DEFAULT_RATIO, mutual=True, threads=1).pairs.astype(np.uint32)
            pycolmap.set_random_seed(VERIFICATION_SEED)
            geometry = pycolmap.estimate_calibrated_two_view_geometry(
                cameras[i],
                f.xy.astype(np.float64) + PIXEL_CENTRE,
                cameras[j],
                g.xy.astype(np.float64) + PIXEL_CENTRE,
                pairs,
            )
            opened.write_matches(ids[i], ids[j], pairs)
            opened.write_two_view_geometry(ids[i], ids[j], geometry)


def _mapped(database: Path, views: Sequence[View], seed: int) -> Record:
    """The largest model of the mapper with a seed, and how far its cameras are from the known ones."""
    pycolmap = import_pycolmap(FATAL)  # that there is no model is a result, not an error to log
    pycolmap.set_random_seed(seed)
    given = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=seed)
    given.extract_colors = False
    given.ba_refine_focal_length = given.ba_refine_principal_point = given.ba_refine_extra_params = False
    with tempfile.TemporaryDirectory(prefix="siftcli-") as folder:
        models = pycolmap.incremental_mapping(database, os.fspath(database.parent), folder, options=given)
    if not models:
        return {"n_registered": 0, "n_points": 0, "n_observations": 0, **asdict(compare(views, {}))}
    largest = max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()))
    registered = (largest.image(number) for number in largest.reg_image_ids())
    cameras = {image.name: _camera_of(image) for image in registered}
    return {
        "n_registered": largest.num_reg_images(),
        "n_points": largest.num_points3D(),
        "n_observations": largest.compute_num_observations(),
        "track_length": largest.compute_mean_track_length(),
        "reprojection_px": largest.compute_mean_reprojection_error(),
        **asdict(compare(views, cameras)),
    }


def _camera_of(image: Any) -> FoundCamera:
    pose = image.cam_from_world()
    return FoundCamera(np.array(pose.rotation.matrix()), np.array(image.projection_center()))
