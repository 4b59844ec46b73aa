"""Two images, or the pairs of a collection: matched, verified, written and drawn."""
