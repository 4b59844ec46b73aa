"""colmap-db: the features in a COLMAP database, written with plain SQLite.

Keypoints have six columns as COLMAP writes them: x, y and σ·[cos θ, −sin θ; sin θ, cos θ];
(0.5, 0.5) is the centre of the top-left pixel of the stored image: COLMAP does not apply the EXIF
orientation, it keeps it as the gravity of a pose prior. Everything that belongs to an image is written,
or replaced, in one transaction; an image is complete if it has keypoints.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, OutputError
from ..features import DESCRIPTOR_KINDS, DESCRIPTOR_LENGTH, UNKNOWN_SIZE, Features
from ..matching.cameras import Camera as KnownCamera
from . import _colmap_schema as schema
from ._base import Closing, refuse_replacing, unknown_image
from ._collections import WriteOptions
from ._colmap_arrays import array_of, frames, keypoint_rows
from ._colmap_camera import Camera, check_camera, group_of, guessed, known
from ._colmap_priors import write_prior
from ._conventions import foreign, in_stored_frame
from ._made_with import check_made_with, made_with_of, made_with_text
from ._record import FeatureFile
from .colmap_text import CONVENTION

IS_FOLDER = False
_SETTINGS = "settings"
_MADE_WITH = "made with"
_SIFT = 0
"""COLMAP's type of a SIFT descriptor."""


def open_writer(path: Path, options: WriteOptions) -> ColmapWriter:
    """Open a database for writing."""
    return ColmapWriter(path, options)


def open_reader(path: Path) -> ColmapReader:
    """Open a database for reading."""
    return ColmapReader(path)


class ColmapWriter(Closing):
    """Writes images with their cameras and features.

    Ids follow the sorted list of planned images, so they do not depend on which image is finished
    first. Images that the database already has keep their ids.
    """

    def __init__(self, path: Path, options: WriteOptions) -> None:
        check_camera(options)
        self.path, self.options = path, options
        old = options.append and path.exists()
        self.connection = schema.connect(path, write=True) if old else schema.create(path)
        with schema.errors(path), schema.transaction(self.connection):
            self.connection.execute(schema.NOTES)
            self.connection.execute(schema.JOURNAL)
            note = "INSERT OR REPLACE INTO siftcli VALUES (?, ?)"
            self.connection.executemany(note, [("version", __version__), ("convention", CONVENTION)])
            if options.settings and not old:
                self.connection.execute(note, (_SETTINGS, options.settings))
            if not old:
                self.connection.execute(note, (_MADE_WITH, made_with_text(options)))
            self.has_frames = "rig_id" in schema.columns(self.connection, "frames")
            self.has_type = "type" in schema.columns(self.connection, "descriptors")
            self._plan_ids()
        schema.log_ahead(self.connection)
        if old and options.images and self.known.issuperset(options.images):
            check_made_with(path, self.made_with(), options)

    def _plan_ids(self) -> None:
        names = sorted(self.options.images)
        known = dict(self.connection.execute("SELECT name, image_id FROM images"))
        planned = self._planned(known)
        ids = {**{name: image_id for name, (image_id, _) in planned.items()}, **known}
        new = [name for name in names if name not in ids]
        first = max([int(number) for number in ids.values()], default=0) + 1
        self.ids, self.known = {**ids, **{name: first + i for i, name in enumerate(new)}}, set(known)
        groups = sorted({group_of(name, self.options.camera) for name in new})
        (last,) = self.connection.execute("SELECT coalesce(max(camera_id), 0) FROM cameras").fetchone()
        last = max([last, *(camera_id for _, camera_id in planned.values())])
        fresh = {group: last + 1 + i for i, group in enumerate(groups)}
        self.camera_ids = {name: camera_id for name, (_, camera_id) in planned.items()}
        self.camera_ids |= {name: fresh[group_of(name, self.options.camera)] for name in new}
        self.examples = {
            self.camera_ids[name]: self.options.images.get(name)
            for name in reversed(names)
            if name in self.camera_ids
        }
        self.unrecorded = [(os.fsencode(name), self.ids[name], self.camera_ids[name]) for name in new]

    def _planned(self, known: dict[str, int]) -> dict[str, tuple[int, int]]:
        """Image and camera ids planned by an earlier run, unless COLMAP has used them since."""
        query = "SELECT name, image_id, camera_id FROM siftcli_images"
        taken = {number: name for name, number in known.items()}
        return {
            name: (image_id, camera_id)
            for name, image_id, camera_id in self.connection.execute(query)
            if taken.get(image_id, name) == name
        }

    def has(self, name: str) -> bool:
        """Whether it has the complete features of this image."""
        with schema.errors(self.path):
            query = "SELECT 1 FROM keypoints JOIN images USING (image_id) WHERE name = CAST(? AS TEXT)"
            return self.connection.execute(query, (os.fsencode(name),)).fetchone() is not None

    def n_images(self) -> int:
        """Number of images whose features it has."""
        with schema.errors(self.path):
            (n,) = self.connection.execute("SELECT count(*) FROM keypoints").fetchone()
        return int(n)

    def made_with(self) -> dict[str, str | bool]:
        """How images share cameras, the camera model, and whether there are pose priors."""
        with schema.errors(self.path):
            query = "SELECT value FROM siftcli WHERE name = ?"
            found = self.connection.execute(query, (_MADE_WITH,)).fetchone()
        return {} if found is None else made_with_of(str(found[0]))

    def settings(self) -> str | None:
        """Settings recorded in the database; None if there are none."""
        with schema.errors(self.path):
            query = "SELECT value FROM siftcli WHERE name = ?"
            found = self.connection.execute(query, (_SETTINGS,)).fetchone()
        return None if found is None else str(found[0])

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        with schema.errors(self.path):
            return schema.origin(self.connection, name)

    def write(self, name: str, features: Features, provenance: str = "") -> None:
        """Write the features of a planned image."""
        if self.has(name) and not self.options.overwrite:
            raise refuse_replacing(self.path, name)
        if name not in self.ids:
            raise OutputError(f"{self.path}: {name} was not planned; name it in the options of the writer")
        with schema.errors(self.path), schema.transaction(self.connection):
            self._record_ids()
            self._write_rows(name, in_stored_frame(features), provenance)
        self.unrecorded.clear()
        self.known.add(name)

    def close(self) -> None:
        """Close the database."""
        try:
            schema.end_log(self.path, self.connection)
        finally:
            schema.finish(self.connection)

    def _record_ids(self) -> None:
        """Record the planned ids together with the first image that is written."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO siftcli_images VALUES (CAST(? AS TEXT), ?, ?, NULL)", self.unrecorded
        )

    def _write_rows(self, name: str, stored: Features, provenance: str) -> None:
        """Write everything that belongs to an image, replacing what it had; called in a transaction."""
        image_id, replaced = self.ids[name], self.has(name)
        if name in self.known:
            schema.remove_features(self.connection, image_id)
            self._renew_camera(name, stored.image_size)
        else:
            self._write_image(name, stored.image_size)
        self._write_features(image_id, stored)
        self._write_prior(name, replaced)
        self.connection.execute(
            "INSERT INTO siftcli_images SELECT name, image_id, camera_id, ? FROM images "
            "WHERE image_id = ? ON CONFLICT(name) DO UPDATE SET origin = excluded.origin",
            (provenance or None, image_id),
        )

    def _write_image(self, name: str, size: tuple[int, int]) -> None:
        if tuple(size) == UNKNOWN_SIZE:
            raise InputError(
                f"{name}: a COLMAP database needs the size of the image; name the folder of images"
            )
        camera_id = self._camera_id(name, size)
        self.connection.execute(
            "INSERT INTO images (image_id, name, camera_id) VALUES (?, CAST(? AS TEXT), ?)",
            (self.ids[name], os.fsencode(name), camera_id),
        )
        if self.has_frames:
            self._write_frame(self.ids[name], camera_id)

    def _camera_id(self, name: str, size: tuple[int, int]) -> int:
        """Camera id of a new image. The camera is written together with its first image."""
        camera_id = int(self.camera_ids[name])
        found = self._camera_size(camera_id)
        if found is None:
            self._write_camera(camera_id, guessed(size, self.examples[camera_id], self.options.camera_model))
            if self.has_frames:
                self.connection.execute(
                    "INSERT INTO rigs (ref_sensor_id, ref_sensor_type) VALUES (?, ?)",
                    (camera_id, schema.CAMERA_SENSOR),
                )
        elif found != tuple(size):
            raise self._other_size(name, found, size)
        return camera_id

    def _renew_camera(self, name: str, size: tuple[int, int]) -> None:
        """Guess the camera of a replaced image again, if no other image shares it.

        A camera set by another program, for example a calibrated one, is kept if the size is the same.
        """
        query = "SELECT camera_id FROM images WHERE image_id = ?"
        (camera_id,) = self.connection.execute(query, (self.ids[name],)).fetchone()
        found = self._camera_size(camera_id)
        if tuple(size) == UNKNOWN_SIZE:
            return
        query = "SELECT 1 FROM images WHERE camera_id = ? AND image_id != ?"
        if self.connection.execute(query, (camera_id, self.ids[name])).fetchone() is not None:
            if found != tuple(size):
                raise self._other_size(name, found, size)
            return
        file = self.options.images.get(name)
        if found != tuple(size) or (file is not None and self._is_our_guess(camera_id)):
            self._write_camera(camera_id, guessed(size, file, self.options.camera_model))

    def _camera_size(self, camera_id: int) -> tuple[int, int] | None:
        query = "SELECT width, height FROM cameras WHERE camera_id = ?"
        found: tuple[int, int] | None = self.connection.execute(query, (camera_id,)).fetchone()
        return found

    def _other_size(self, name: str, found: tuple[int, int] | None, size: tuple[int, int]) -> InputError:
        there = "none" if found is None else f"{found[0]} x {found[1]}"
        return InputError(
            f"{name}: expected {there} pixels as the other images of its camera have, got "
            f"{size[0]} x {size[1]}; use --camera per-image, or --overwrite to redo all if all have changed"
        )

    def _write_camera(self, camera_id: int, camera: Camera) -> None:
        row = (camera.model, camera.width, camera.height, camera.params, camera.prior_focal_length)
        self.connection.execute(
            "INSERT INTO cameras VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(camera_id) DO UPDATE SET "
            "model = excluded.model, width = excluded.width, height = excluded.height, "
            "params = excluded.params, prior_focal_length = excluded.prior_focal_length",
            (camera_id, *row),
        )
        note = (f"camera {camera_id}", self._camera_text(camera_id))
        self.connection.execute("INSERT OR REPLACE INTO siftcli VALUES (?, ?)", note)

    def _camera_text(self, camera_id: int) -> str:
        """A camera's row as text. Stored when it is written, to notice later changes by other programs."""
        query = "SELECT model, width, height, params, prior_focal_length FROM cameras WHERE camera_id = ?"
        return repr(self.connection.execute(query, (camera_id,)).fetchone())

    def _is_our_guess(self, camera_id: int) -> bool:
        query = "SELECT value FROM siftcli WHERE name = ?"
        note = self.connection.execute(query, (f"camera {camera_id}",)).fetchone()
        return note is not None and note[0] == self._camera_text(camera_id)

    def _write_frame(self, image_id: int, camera_id: int) -> None:
        """COLMAP 4: each image is in its own frame, of a rig that consists of its camera."""
        sensor = (camera_id, schema.CAMERA_SENSOR)
        query = "SELECT rig_id FROM rigs WHERE ref_sensor_id = ? AND ref_sensor_type = ?"
        (rig_id,) = self.connection.execute(query, sensor).fetchone()
        frame_id = self.connection.execute("INSERT INTO frames (rig_id) VALUES (?)", (rig_id,)).lastrowid
        self.connection.execute("INSERT INTO frame_data VALUES (?, ?, ?, ?)", (frame_id, image_id, *sensor))

    def _write_prior(self, name: str, replaced: bool) -> None:
        from ._exif import Exif, read_exif  # late: it imports Pillow, and readers need none

        file = self.options.images.get(name) if self.options.pose_priors else None
        exif = Exif() if file is None else read_exif(file)
        write_prior(self.connection, self.ids[name], exif, replace=replaced)

    def _write_features(self, image_id: int, features: Features) -> None:
        keypoints = keypoint_rows(features)
        self.connection.execute(
            "INSERT INTO keypoints VALUES (?, ?, ?, ?)", (image_id, *keypoints.shape, keypoints.tobytes())
        )
        values: dict[str, Any] = {"image_id": image_id, "rows": len(features), "cols": DESCRIPTOR_LENGTH}
        values["data"] = features.descriptors.tobytes()
        if self.has_type:
            values["type"] = _SIFT
        self.connection.execute(
            f"INSERT INTO descriptors ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            tuple(values.values()),
        )
        note = "INSERT OR REPLACE INTO siftcli VALUES (?, ?)"
        self.connection.execute(note, (f"descriptor_kind {image_id}", features.descriptor_kind))


class ColmapReader(Closing):
    """Reads the features of a database, COLMAP's own included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = schema.connect(path, write=False)

    def names(self) -> list[str]:
        """Names of the images that have keypoints, sorted."""
        with schema.errors(self.path):
            query = "SELECT name FROM images JOIN keypoints USING (image_id)"
            return sorted(str(name) for (name,) in self.connection.execute(query))

    def read(self, name: str) -> FeatureFile:
        """Read the features of an image; its descriptors are RootSIFT unless siftcli recorded otherwise.

        Raises
        ------
        InputError
            If there are none, or they are damaged.
        """
        with schema.errors(self.path):
            image_id, size = self._image(name)
            keypoints = self._array("keypoints", image_id, np.dtype("<f4"))
            descriptors = self._array("descriptors", image_id, np.dtype(np.uint8))
            if descriptors is not None and (len(descriptors), DESCRIPTOR_LENGTH) != descriptors.shape:
                raise InputError(f"{self.path}: expected descriptors of {DESCRIPTOR_LENGTH} bytes for {name}")
            if keypoints is None or (descriptors is not None and len(descriptors) != len(keypoints)):
                raise InputError(f"{self.path}: expected as many descriptors as keypoints for {name}")
            kind = self._kind(image_id)
        try:
            return foreign(
                "colmap-db",
                CONVENTION,
                **frames(keypoints),
                descriptors=descriptors,
                image_size=size,
                image_name=name,
                descriptor_kind=kind,
            )
        except InputError as error:
            raise InputError(f"{self.path}: {name}: {error}; write it again") from error

    def stored(self, name: str) -> tuple[int, tuple[int, int]]:
        """Number of the features of an image, and its size; (0, 0) if that is unknown."""
        with schema.errors(self.path):
            image_id, size = self._image(name)
            query = "SELECT rows FROM keypoints WHERE image_id = ?"
            (n,) = self.connection.execute(query, (image_id,)).fetchone()
        if type(n) is not int or n < 0:
            raise InputError(f"{self.path}: expected a number of keypoints for {name}; write it again")
        return n, size

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        with schema.errors(self.path):
            return schema.origin(self.connection, name)

    def camera(self, name: str) -> KnownCamera | None:
        """The camera of an image; None if its focal length is a guess or it is no pinhole camera."""
        query = (
            "SELECT model, params, prior_focal_length FROM images JOIN cameras USING (camera_id) "
            "WHERE images.name = CAST(? AS TEXT)"
        )
        with schema.errors(self.path):
            found = self.connection.execute(query, (os.fsencode(name),)).fetchone()
        return None if found is None else known(*found)

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def _image(self, name: str) -> tuple[int, tuple[int, int]]:
        query = (
            "SELECT image_id, width, height FROM images JOIN keypoints USING (image_id) "
            "LEFT JOIN cameras USING (camera_id) WHERE images.name = CAST(? AS TEXT)"
        )
        found = self.connection.execute(query, (os.fsencode(name),)).fetchone()
        if found is None:
            raise unknown_image(self.path, name, self.names())
        image_id, width, height = found
        if not all(isinstance(n, int) and 0 < n < schema.MAX_ID for n in (width, height)):
            return int(image_id), UNKNOWN_SIZE
        return int(image_id), (width, height)

    def _array(self, table: str, image_id: int, dtype: np.dtype[Any]) -> NDArray[Any] | None:
        query = f"SELECT rows, cols, data FROM {table} WHERE image_id = ?"
        found = self.connection.execute(query, (image_id,)).fetchone()
        return None if found is None else array_of(self.path, table, found, dtype)

    def _kind(self, image_id: int) -> str:
        if not schema.columns(self.connection, "siftcli"):
            return "rootsift"
        query = "SELECT value FROM siftcli WHERE name = ?"
        found = self.connection.execute(query, (f"descriptor_kind {image_id}",)).fetchone()
        return str(found[0]) if found is not None and found[0] in DESCRIPTOR_KINDS else "rootsift"
