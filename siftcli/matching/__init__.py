"""Match the features of two images, and verify the matches."""
