# %% [markdown]
# # Detect, draw, match, align
#
# A notebook, kept as a script: an editor that knows cells (`# %%`) runs it piece by piece, Jupyter opens it
# with jupytext, and `python detect_draw_match_align.py` runs the whole. Start it in the folder that holds
# `sample_images/`. It writes three pictures there.

# %%
import numpy as np
from PIL import Image

import siftcli

PICTURE = "sample_images/camera.png"

# %% [markdown]
# ## Detect
#
# A path or an array gives `Features`: read-only arrays with a row for each feature, strongest first.
# In a notebook the last line shows a small picture of them.

# %%
f = siftcli.detect(PICTURE, max_features=1000)
print(f)
f

# %% [markdown]
# Rows are chosen as in NumPy, by a slice, a mask or numbers.

# %%
large = f[f.scale > 10]
print(large)
print(f[:3].to_pandas().round(2))

# %% [markdown]
# ## Draw
#
# The strongest 200 as circles of radius 3σ, the others as a tint by their density.

# %%
Image.fromarray(siftcli.draw_keypoints(PICTURE, f, max_circles=200)).save("keypoints.png")

# %% [markdown]
# ## Match
#
# The second view is the first, turned by 25° and reduced: what it should find is known.

# %%
camera = Image.open(PICTURE)
view = np.asarray(camera.rotate(25, Image.Resampling.BICUBIC).resize((400, 400), Image.Resampling.LANCZOS))
g = siftcli.detect(view, max_features=1000)
matches = siftcli.match(f, g)
verified = siftcli.verify(f, g, matches, "similarity")
print(matches)
print(verified)

# %%
drawn = siftcli.draw_matches(PICTURE, view, f, g, matches, verified.inliers, caption="turned by 25 degrees")
Image.fromarray(drawn).save("matches.png")

# %% [markdown]
# `matches[verified.inliers]` are the matches that fit. Their residuals under the model that was found:

# %%
good = matches[verified.inliers]
xy_f, xy_g = f.xy[good.pairs[:, 0]], g.xy[good.pairs[:, 1]]
mapped = np.column_stack([xy_f, np.ones(len(good))]) @ verified.model.T
residual_px = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - xy_g, axis=1)
print(f"{len(good)} inliers, median residual {np.median(residual_px):.2f} px")

# %% [markdown]
# ## Align
#
# `align` does all of this, goes on with the intensities, and warps the second picture onto the first.

# %%
aligned = siftcli.align(PICTURE, view, "similarity")
print(aligned)
Image.fromarray(aligned.image).save("aligned.png")
aligned

# %%
reference = np.asarray(camera).astype(float)
difference = np.abs(reference - aligned.image)[aligned.valid]
print(f"median difference where both are seen: {np.median(difference):.1f} of 255")
