"""Imported once by the fork server that decode workers are forked from, so that each new worker is warm."""

from gateway.decode.worker import warm_up

warm_up()
