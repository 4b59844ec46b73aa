"""Views of an image with known geometry, and what is measured on pairs of them."""
