"""Registration: a transform from one picture to another, from many to one, and pictures warped by it."""
