"""Network, data and the training loop."""
