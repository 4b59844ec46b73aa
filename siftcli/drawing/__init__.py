"""Draw keypoints and matches."""
