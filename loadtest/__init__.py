"""Load tests with Locust: the same users against a stack of this machine, against compose, and against a cluster."""
