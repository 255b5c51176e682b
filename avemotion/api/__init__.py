"""Schemas of requests and responses, and the one function that turns model outputs into an answer.

The gateway, the client, the command line and the load tests share these classes, so an answer is stated once. OpenAPI
and the field tables of `docs/API.md` are made from them.
"""
