"""Laws of reading answers: foreign JSON never raises, whatever it holds."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.models import CompletionOutcome
from operators.gateway.endpoint_replies import EndpointReply, read_answer
from operators.gateway.forms import CHAT, EMBEDDINGS, RESPONSES, ApiForm
from operators.gateway.transport import HttpAnswer

FORMS = {form.name: form for form in (CHAT, RESPONSES, EMBEDDINGS)}
NAMES = st.sampled_from(
    (
        *("choices", "message", "content", "refusal", "finish_reason", "data", "embedding", "output", "type", "text"),
        *("usage", "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "prompt_tokens_details"),
        *("input_tokens_details", "cached_tokens", "status", "error", "code", "incomplete_details", "reason"),
    )
)
WORDS = st.sampled_from(
    (
        *("output_text", "refusal", "message", "stop", "length", "content_filter", "completed", "incomplete"),
        *("failed", "max_output_tokens", "server_error", "AACAPw==", "\ud800"),
    )
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.just(10**400) | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES, lambda children: st.lists(children, max_size=3) | st.dictionaries(NAMES, children, max_size=4)
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=6)
SHAPED = st.one_of(
    st.builds(lambda message, rest: {**rest, "choices": [{**rest, "message": message}]}, VALUES, BODIES),
    st.builds(lambda parts, rest: {**rest, "output": [{"content": [parts]}]}, VALUES, BODIES),
    st.builds(lambda vector, rest: {**rest, "data": [{"embedding": vector}]}, VALUES, BODIES),
)


@pytest.mark.parametrize("name", FORMS)
@given(body=BODIES | SHAPED)
def test_any_json_object_is_read_as_some_reply(name: str, body: dict[str, Any]) -> None:
    form: ApiForm = FORMS[name]
    reply: EndpointReply = read_answer(HttpAnswer(200, json.dumps(body).encode()), form.read)
    assert reply.outcome in get_args(CompletionOutcome)
    assert (reply.text + reply.error).encode()
    assert reply.outcome != "ok" or reply.text.strip()
    for tokens in (reply.input_tokens, reply.output_tokens, reply.cached_tokens):
        assert tokens is None or 0 <= tokens <= 10**12
    if reply.outcome != "ok":
        assert reply.error
    elif form is EMBEDDINGS:
        assert len(base64.b64decode(reply.text, validate=True)) % 4 == 0
