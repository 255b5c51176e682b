"""Imported once by the server process that decode workers are forked from, so that a new worker is warm at once."""

from gateway.decode_worker import warm_up

warm_up()
