"""Triton and the gateway on one machine, by one command."""
