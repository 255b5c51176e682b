"""The JSON of requests and responses, which is also what OpenAPI says."""
