"""Which pairs of images are worth matching: kinds of lists, and what they are made from."""
