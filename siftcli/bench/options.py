"""Choices and defaults of a benchmark; imports nothing."""

DEFAULT_DETECTORS = ("siftcli", "opencv-precise")
"""Each is compared with the first."""

DEFAULT_SIZES = (0.25, 1.0, 3.0, 12.0, 24.0)
"""Sizes in megapixels at which the default image is timed."""

RESIZED, TILED = WAYS = ("resized", "tiled")
"""How an image is brought to a size."""

DEFAULT_PAIRS = 15
SECONDS_A_ROW = 6
"""If the number of pairs is not given, no new pair is started after this time."""
