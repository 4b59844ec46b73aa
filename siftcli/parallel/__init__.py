"""Work on several processes or machines, and how it is interrupted."""
