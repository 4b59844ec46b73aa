"""Measure how well features survive a known transform.

``request`` checks what the user asked for and plans the tasks. ``runner`` executes them: each task
renders two views with a known map between them (:mod:`siftcli.views`), runs every detector on both,
and computes the metrics. Finished tasks are stored, so an interrupted run can be resumed.
"""
