"""The network, its data, the training loop and its evaluation; what leaves here is one checkpoint file."""
