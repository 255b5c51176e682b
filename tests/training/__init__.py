"""Tests of the network, its data and the training loop."""
