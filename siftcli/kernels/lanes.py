"""The width of a vector."""

LANES = 16
"""Numbers of type float32 in a vector: one register of AVX-512, two of AVX, four of SSE or NEON."""
