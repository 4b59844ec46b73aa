"""How fast siftcli is beside other detectors, and how near to what the machine could do.

A machine's speed drifts; a ratio of two runs that follow each other drifts less. So detectors take
turns in one process (``warm``); what the first image of a process takes, and the memory it needs, is
measured in fresh processes, as is a whole command (``fresh``). ``floor`` counts the arithmetic.
``measuring`` brings them together, ``summary`` says what they come to, ``tables`` shows them.
"""
