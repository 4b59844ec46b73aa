"""Orientation, learned: four layers with their gradients, a network of them, its training and its use.

Read ``layers.py`` first, then ``network.py``. Using the network needs ``orientation.py`` alone.
"""
