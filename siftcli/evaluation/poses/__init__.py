"""Camera pose from photographs whose cameras are known: what features are used for most.

``scenes`` and ``readers`` read photographs and their cameras, ``degradations`` changes one of two views,
``cameras`` and ``estimation`` hold the geometry, ``measure`` turns the features of two views into numbers,
``work`` does so for the pairs of a scene, ``reconstruct`` reconstructs a scene with COLMAP, ``runner`` runs
everything, and ``summary`` and ``tables`` summarise it.
"""
