"""Files and folders, safely: limits, bounded reads, atomic writes, locks, work lists, provenance."""
