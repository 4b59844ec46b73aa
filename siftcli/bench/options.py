"""What a benchmark can be asked for, without the weight of what runs it."""

DEFAULT_DETECTORS = ("siftcli", "opencv-precise")
"""The others are compared with the first."""

DEFAULT_SIZES = (0.25, 1.0, 3.0, 12.0, 24.0)
"""Megapixels that an image is brought to when none is named."""

RESIZED, TILED = WAYS = ("resized", "tiled")
"""How it is brought there."""

DEFAULT_PAIRS = 15
SECONDS_A_ROW = 6
"""When no number of pairs is given, no further pair begins after this time."""
