"""How kernels are written, compiled, stored, linked and run. Read ``decorators.py`` first."""
