"""What differs between Linux, macOS and Windows, and between a machine and a container, in one place.

What a system may lack is asked for by its own name (``hasattr``) wherever that tells enough. No other module
of siftcli asks which system it runs on.
"""
