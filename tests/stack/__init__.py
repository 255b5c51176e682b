"""One command for all."""
