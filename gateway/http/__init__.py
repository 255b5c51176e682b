"""HTTP around the predictions: the server, middleware, request contexts, forms, and error responses."""
