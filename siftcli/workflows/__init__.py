"""What a command does: detect, match two images, match a collection, convert."""
