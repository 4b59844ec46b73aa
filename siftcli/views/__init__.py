"""Pairs of views of one image with a known map between them, and metrics on such pairs."""
