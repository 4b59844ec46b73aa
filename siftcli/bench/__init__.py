"""Compare the speed of siftcli with that of other detectors, and with the limit of the machine.

The speed of a machine drifts. The ratio of two consecutive runs drifts less, so the detectors are timed
alternately (``measuring``). Each runs in its own process, and its first image is reported separately
(``worker``). ``process`` times whole commands, ``roofline`` computes the arithmetic limit, and
``summary`` reduces the measurements to a few ratios.
"""
