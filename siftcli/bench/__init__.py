"""How fast siftcli is beside other detectors, and how near to what the machine could do.

A machine's speed drifts; a ratio of two runs that follow each other drifts less. So detectors take turns
(``measuring``), each in a process of its own (``worker``), of which the first image is told apart.
``process`` times whole commands, ``roofline`` counts the arithmetic, ``summary`` says what all comes to.
"""
