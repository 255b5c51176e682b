"""Decoding in isolated worker processes: a pool, one process each, and the plain data they exchange."""
