"""The model gateway: completions from OpenAI-compatible endpoints, within caps, each recorded with what it cost."""

from operators.gateway.gateway import Gateway
from operators.gateway.patience import Patience
from operators.gateway.prices import price_of, snapshot

__all__ = ["Gateway", "Patience", "price_of", "snapshot"]
