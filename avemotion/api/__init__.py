"""The API in Python: the schemas of all response bodies, and the one function from model outputs to an answer.

The gateway, the clients, the command line and the load tests share these classes. OpenAPI and the tables of
`docs/API.md` are generated from them.
"""
