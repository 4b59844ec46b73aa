"""Pictures of keypoints and of matches."""
