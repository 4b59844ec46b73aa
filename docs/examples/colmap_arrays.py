# %% [markdown]
# # Features and matches as COLMAP's arrays
#
# For a pipeline of your own that uses pycolmap (`pip install 'siftcli[colmap]'`). To fill a database,
# `siftcli detect photos/ -o database.db` is the shorter way. Start it in the folder that holds
# `sample_images/`.

# %%
import numpy as np
import pycolmap

import siftcli

PICTURE = "sample_images/camera.png"
SIZE = (512, 512)
FOCAL_PX = 600.0

# %% [markdown]
# A second view: what the same camera would see after it was turned by 8° about its y axis.

# %%
camera = siftcli.Camera.centred(FOCAL_PX, SIZE)
angle = np.deg2rad(8)
turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
true_map = camera.matrix @ turn @ np.linalg.inv(camera.matrix)
view = siftcli.warp(PICTURE, true_map)

f = siftcli.detect(PICTURE, max_features=2000)
g = siftcli.detect(view, max_features=2000)
matches = siftcli.match(f, g)
print(f, g, matches, sep="\n")

# %% [markdown]
# In COLMAP the centre of the first pixel is (0.5, 0.5), in siftcli (0, 0). Scale, orientation (radians,
# clockwise on the screen) and the order of descriptors are the same. Keypoints are (N, 4) or (N, 6)
# float32, descriptors (N, 128) uint8, matches (M, 2) uint32.


# %%
def colmap_keypoints(features: siftcli.Features) -> np.ndarray:
    """(N, 4) float32: x, y, scale and orientation as COLMAP stores them."""
    return np.column_stack([features.xy + 0.5, features.scale, features.orientation]).astype(np.float32)


points_f, points_g = (colmap_keypoints(features)[:, :2].astype(np.float64) for features in (f, g))
rows = matches.pairs.astype(np.uint32)

# %% [markdown]
# COLMAP's own estimation on these arrays, beside `siftcli.verify`.

# %%
width, height = SIZE
principal = [width / 2, height / 2]
known = pycolmap.Camera(model="SIMPLE_PINHOLE", width=width, height=height, params=[FOCAL_PX, *principal])
theirs = pycolmap.estimate_calibrated_two_view_geometry(known, points_f, known, points_g, rows)
ours = siftcli.verify(f, g, matches, "essential", cameras=(camera, camera))
print(f"COLMAP: {len(theirs.inlier_matches)} inliers; siftcli: {ours.n_inliers}")
print(ours)

# %% [markdown]
# The pose is the turn that was made; as the camera did not move, there is no direction.

# %%
print(f"rotation {ours.pose.angle_deg:.2f} degrees, about {np.round(ours.pose.axis, 2)}")
