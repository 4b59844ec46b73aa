"""The algorithm, a file a stage; read ``pipeline.py`` first."""
