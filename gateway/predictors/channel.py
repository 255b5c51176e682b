"""How the gRPC channel to Triton behaves: one for all its addresses, calls spread over them, broken ones left out.

A call is sent again only where nothing was executed. Two kinds of failure prove that. gRPC itself repeats a call that
never left this process, or that the server's transport refused unseen (its "transparent" retry). And Triton answers
NOT_FOUND where it has no such model ready, as it does while it drains: another address may have it. UNAVAILABLE is in
no policy: a connection that breaks while Triton computes ends in it, too, and the same clip would be computed twice,
at the worst of times.
"""

from __future__ import annotations

import json
from typing import Final

_MESSAGE_LIMIT: Final = 256 * 2**20

_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "inference.GRPCInferenceService", "method": "ModelInfer"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["NOT_FOUND"],
            },
        }
    ],
    # Where most calls fail, because no address has the model, none is sent again.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
}

CHANNEL_OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.service_config_disable_resolution", 1),
    # gRPC forgets how to repeat a call that is larger than this, by default less than one clip's tensors.
    ("grpc.per_rpc_retry_buffer_size", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    # Pings while a call is open, so that a cut connection is noticed; Triton refuses pings on an idle channel.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # gRPC's own backoff grows to two minutes: a restarted Triton would be found long after it is ready.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
]
"""Options of gRPC's core, https://grpc.github.io/grpc/core/group__grpc__arg__keys.html."""
