"""Pinhole cameras, and the pose of one relative to another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..words import fixed

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera without distortion; all values in pixels.

    (0, 0) is the centre of the top-left pixel, as for features.

    Raises
    ------
    ParameterError
        If a focal length is not a finite number above 0, or the centre is not finite.

    Examples
    --------
    >>> import siftcli
    >>> siftcli.Camera.centred(800, (512, 512))
    Camera(fx=800, fy=800, cx=255.5, cy=255.5)
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        for name in ("fx", "fy"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ParameterError(f"{name}, a focal length in pixels, must be above 0; got {value}")
        if not (math.isfinite(self.cx) and math.isfinite(self.cy)):
            raise ParameterError(f"cx and cy must be finite (pixels); got {self.cx}, {self.cy}")

    @classmethod
    def centred(cls, focal_px: float, image_size: tuple[int, int]) -> Camera:
        """A camera whose axis passes through the middle of an image of (width, height)."""
        width, height = image_size
        return cls(fx=focal_px, fy=focal_px, cx=(width - 1) / 2, cy=(height - 1) / 2)

    @property
    def matrix(self) -> Matrix:
        """(3, 3) K, from directions to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class RelativePose:
    """The second camera relative to the first: x₂ = R x₁ + t, where the length of t is unknown.

    It is the ``pose`` of :func:`siftcli.verify` with ``model="essential"``.

    Examples
    --------
    >>> import numpy as np
    >>> import siftcli
    >>> siftcli.RelativePose(rotation=np.eye(3), direction=np.array([1.0, 0, 0]))
    <RelativePose: rotation 0.00 deg, direction (1.000, 0.000, 0.000)>
    """

    rotation: Matrix
    """(3, 3) R. Axes of a camera: x right, y down, z forward."""
    direction: NDArray[np.float64]
    """(3,) direction of t, a unit vector."""
    is_rotation: bool = False
    """Whether the rotation alone explains the matches. Then they do not determine the direction."""

    def __repr__(self) -> str:
        if self.is_rotation:
            return f"<RelativePose: rotation {self.angle_deg:.2f} deg, without a direction>"
        direction = ", ".join(fixed(x, 3) for x in self.direction)
        return f"<RelativePose: rotation {self.angle_deg:.2f} deg, direction ({direction})>"

    @property
    def essential(self) -> Matrix:
        """(3, 3) E = [t]ₓ R, with d₂ᵀ E d₁ = 0 for directions d (Hartley and Zisserman, section 9.6)."""
        x, y, z = self.direction
        return np.asarray(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ self.rotation)

    @property
    def angle_deg(self) -> float:
        """Angle of the rotation in degrees, 0 to 180."""
        return float(np.rad2deg(np.linalg.norm(self._vector)))

    @property
    def axis(self) -> tuple[float, float, float] | None:
        """Unit vector of the rotation's axis (right-handed); None without a rotation."""
        length = float(np.linalg.norm(self._vector))
        if length == 0:
            return None
        x, y, z = (self._vector / length).tolist()
        return x, y, z

    @property
    def _vector(self) -> NDArray[np.float64]:
        from scipy.spatial.transform import Rotation  # late: processes that only write matches do without

        return np.asarray(Rotation.from_matrix(self.rotation).as_rotvec())

    @property
    def quaternion(self) -> NDArray[np.float64]:
        """(4,) unit quaternion of the rotation, the real part first and not negative."""
        from scipy.spatial.transform import Rotation

        x, y, z, w = Rotation.from_matrix(self.rotation).as_quat(canonical=True)
        return np.array([w, x, y, z])

    @property
    def inverse(self) -> RelativePose:
        """The pose of the first camera relative to the second."""
        turned = self.rotation.T
        return RelativePose(rotation=turned, direction=-turned @ self.direction, is_rotation=self.is_rotation)

    def fundamental(self, first: Camera, second: Camera) -> Matrix:
        """(3, 3) F = K₂⁻ᵀ E K₁⁻¹, with x₂ᵀ F x₁ = 0 for pixels x (Hartley and Zisserman, eq. 9.12)."""
        return np.asarray(np.linalg.inv(second.matrix).T @ self.essential @ np.linalg.inv(first.matrix))

    def far_map(self, first: Camera, second: Camera) -> Matrix:
        """(3, 3) K₂ R K₁⁻¹, which maps pixels of points that are far away."""
        return np.asarray(second.matrix @ self.rotation @ np.linalg.inv(first.matrix))
