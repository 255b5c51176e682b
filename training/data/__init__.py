"""Data sets, their splits, and the cache of decoded clips."""
