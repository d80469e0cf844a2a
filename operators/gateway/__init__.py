"""The model gateway: completions from OpenAI-compatible endpoints, within caps, each recorded with what it cost."""

from operators.gateway.gateway import EndpointGateway
from operators.gateway.prices import price_of
from operators.gateway.retry_policy import RetryPolicy

__all__ = ["EndpointGateway", "RetryPolicy", "price_of"]
