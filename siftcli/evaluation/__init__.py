"""How well features survive a known transform: views with ground truth, metrics, and the runner.

``transforms`` makes pairs of views of one image whose geometry is known exactly, ``metrics``
holds pure functions from two sets of features and that geometry to numbers, ``runner`` does both
for many images, transforms and detectors and keeps what it finished.
"""
