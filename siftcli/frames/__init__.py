"""Pictures with all their channels and metadata: read frame by frame or by tiles, and written again.

``siftcli.image`` reads a picture as grey, for detection. Here samples stay what they are, and what the
file says of them (colour profile, resolution, axes, spacing, coordinate system) is kept.
"""
