"""The Python client against real gateways and a real Triton."""
