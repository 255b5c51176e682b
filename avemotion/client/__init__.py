"""The Python client: predictions through the gateway, or straight from Triton with clips decoded on this machine."""
