"""Data sets, their splits, and the cache that training reads."""
