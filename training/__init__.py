"""The network, its data, the training loop and its evaluation; the result is one checkpoint file."""
