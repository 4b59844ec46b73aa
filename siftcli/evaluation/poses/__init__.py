"""Camera pose from real photographs with known cameras: what features are used for most.

``scenes`` reads photographs and their cameras, ``degradations`` changes one of two views, ``epipolar`` holds
the geometry, ``measure`` turns the features of two views into a row of numbers, ``runner`` does so for all
pairs, budgets and detectors, and ``tables`` summarises the rows.
"""
