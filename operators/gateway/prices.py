"""What a model charges, what a completion cost, and the most that a request can cost."""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from evo.errors import ConfigError
from evo.ledger import Charge, nanodollars
from evo.models import FREE, Endpoint, Price, Request

if TYPE_CHECKING:
    from genai_prices.types import TieredPrices

OPENAI_URL = "https://api.openai.com/v1"
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 16
TOKENS_PER_REQUEST = 128
LEAST_RESPONSE_TOKENS = 16  # of max_output_tokens, the least that OpenAI takes

Output = Literal["text", "vector"]
Api = Literal["chat", "responses"]


def price_of(model: str, endpoint: Endpoint, *, output: Output = "text") -> Price:
    """The endpoint's own price, free on a loopback address, or else the list price that came with genai-prices.

    The list is that of the installed package; nothing is fetched. Where a model costs more beyond a prompt length
    (hundreds of thousands of tokens), the price below it is taken.

    Args:
        output: what is asked of the model; a vector costs its input only, so its model needs no price for output.

    Raises:
        ConfigError: the price is unknown.
    """
    if endpoint.price is not None:
        return endpoint.price
    url = endpoint.base_url or OPENAI_URL
    if is_loopback(url):
        return FREE
    return _list_price(model, url, output) or _refuse(model, endpoint)


def cost(price: Price, input_tokens: int, output_tokens: int, *, cached_tokens: int = 0) -> Charge:
    """What an answered call costs; cached input at its own price if it has any. Rounded up to a nano-dollar."""
    cached = min(cached_tokens, input_tokens) if price.cached_usd is not None else 0
    millionths = (
        _exactly(price.input_usd) * (input_tokens - cached)
        + _exactly(price.cached_usd or 0.0) * cached
        + _exactly(price.output_usd) * output_tokens
    )
    return Charge(nanodollars(millionths / 1_000_000), input_tokens + output_tokens, 1)


def worst_case(request: Request, price: Price, *, api: Api = "chat") -> Charge:
    """The most that a call of `request` can cost: the longest prompt, none of it cached, and the longest reply."""
    dearest = Price(max(price.input_usd, price.cached_usd or 0.0), price.output_usd)
    return cost(dearest, prompt_bound(request), reply_bound(request, api))


def prompt_bound(request: Request) -> int:
    """An upper bound of the prompt's tokens: a token a byte of UTF-8, and room for what a chat template adds.

    Tokenisers that fall back to bytes (byte-level BPE, SentencePiece) never make more tokens than bytes; text in
    English or code has a quarter of it. The schema counts, for an endpoint may put it into the prompt.
    """
    texts = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in request.messages)
    schema = 2 * len(json.dumps(dict(request.schema))) if request.schema else 0
    return texts + schema + TOKENS_PER_MESSAGE * len(request.messages) + TOKENS_PER_REQUEST


def reply_bound(request: Request, api: Api) -> int:
    """An upper bound of the reply's tokens: what is allowed it; none for a vector."""
    if request.output == "vector":
        return 0
    return max(LEAST_RESPONSE_TOKENS, request.max_tokens) if api == "responses" else request.max_tokens


def estimated_tokens(text: str) -> int:
    """Tokens of a text that no endpoint counted: a token for every four characters begun, at least 1."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def is_loopback(url: str) -> bool:
    """Whether a URL names this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=64)
def _exactly(usd: float) -> Decimal:
    return Decimal(repr(usd))


def _list_price(model: str, url: str, output: Output) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot  # here, as the data take a quarter of a second to load

    try:
        _, found = get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return None
    prices = found.get_prices(datetime.now(tz=UTC))
    input_usd, output_usd = _below_tiers(prices.input_mtok), _below_tiers(prices.output_mtok)
    if output_usd is None and output == "vector":
        output_usd = 0.0
    if input_usd is None or output_usd is None:
        return None
    return Price(input_usd, output_usd, _below_tiers(prices.cache_read_mtok))


def _below_tiers(price: Decimal | TieredPrices | None) -> float | None:
    from genai_prices.types import TieredPrices

    amount = price.base if isinstance(price, TieredPrices) else price
    return None if amount is None else float(amount)


def _refuse(model: str, endpoint: Endpoint) -> Price:
    raise ConfigError(
        f"no price is known for model {model!r} at endpoint {endpoint.name!r}; "
        "give the endpoint a price (dollars per million tokens, input and output) or 'price: free'"
    )
