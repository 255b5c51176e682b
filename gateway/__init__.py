"""The HTTP gateway: an upload is decoded in an isolated worker, a model answers, JSON goes out.

It imports `preprocessing` and Triton's client, and never torch: serving stays small, and training stays apart.
"""
