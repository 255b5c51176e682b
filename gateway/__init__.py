"""The HTTP gateway: an upload is decoded in an isolated worker, a model computes, and the answer is JSON.

It imports `avemotion` and Triton's client, never torch: serving stays small and apart from training.
"""
