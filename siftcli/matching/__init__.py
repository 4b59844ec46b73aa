"""Features of two images to putative matches, and from these to verified ones."""
