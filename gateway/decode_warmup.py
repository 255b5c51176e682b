"""Imported once by the server process that decode workers are forked from, so that a new worker is warm at once."""

import os

# numpy reads it when it is imported. A second thread would not make the log-mel's small product faster, but spins
# while it waits for work: measured, 23 ms of CPU time a clip on a busy machine with two cores instead of 3.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from gateway.decode_worker import warm_up

warm_up()
