"""The sizes of a vector, and of a tile of products of descriptors."""

LANES = 16
"""Numbers of type float32 in a vector: one register of AVX-512, two of AVX, four of SSE or NEON."""

HALF = LANES // 2
"""Numbers in a vector of half the length."""

DESCRIPTOR_WORDS = 32
"""Words of four bytes in a descriptor."""

TILE_ROWS, TILE_COLUMNS = 8, 48
"""The 24 vectors of sums of a tile, and its factors, fill the 32 registers of AVX-512."""
