"""Finding similar images by one vector for each image, aggregated from its descriptors.

All arithmetic on descriptors is that of whole numbers that float32 holds exactly, so that the vectors and
their similarities do not depend on threads, processes or the order of a sum.
"""
