"""Laws of thoughts: they are no part of the answer, and a tag within code is code."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.gateway.endpoint_replies import EndpointReply
from operators.gateway.thoughts import answered, separated

DRAFT = "First:\n```python\nx = 1\n```\nNo.\n"
ANSWER = 'Here it is.\n\n```python\nx = "<think>2</think>"\n```\n'
PARTED = {
    "tags": (f"<think>\n{DRAFT}</think>\n\n{ANSWER}", DRAFT.strip(), ANSWER),
    "another name": (f"<thinking>\n{DRAFT}</thinking>\n{ANSWER}", DRAFT.strip(), ANSWER),
    "thought": (f"<thought>{DRAFT}</thought>{ANSWER}", DRAFT.strip(), ANSWER),
    "reasoning": (f"<reasoning>{DRAFT}</reasoning>\n{ANSWER}", DRAFT.strip(), ANSWER),
    "capitals": (f"<THINK>{DRAFT}</THINK>\n{ANSWER}", DRAFT.strip(), ANSWER),
    "brackets": (f"[THINK]{DRAFT}[/THINK]\n{ANSWER}", DRAFT.strip(), ANSWER),
    "the opening tag is missing": (f"{DRAFT}</think>\n\n{ANSWER}", DRAFT.strip(), ANSWER),
    "several spans": (f"<think>a</think>{ANSWER}<think>b</think>\nDone.", "a\nb", f"{ANSWER}\nDone."),
    "spans behind each other": ("<think>a</think>\n<think>b</think>\n4", "a\nb", "4"),
    "a span within a span": ("<think>a<think>b</think>c</think>4", "abc", "4"),
    "a stray closing tag": (f"<think>a</think>\n{ANSWER}</think>\n", "a", ANSWER + "\n"),
    "in the midst of a line": ("I say <think>2 or 4?</think>4.", "2 or 4?", "I say 4."),
    "nothing thought": (f"<think>\n\n</think>\n\n{ANSWER}", "", ANSWER),
    "thoughts that quote their end": ('<think>I end with "</think>".\nSo.</think>4', 'I end with "".\nSo.', "4"),
    "thoughts with a block that is not closed": (f"<think>\n```python\nx = 1\n</think>\n{ANSWER}", None, ANSWER),
    "the same without an opening tag": (f"So:\n```python\nx = 1\n</think>\n{ANSWER}", None, ANSWER),
    "thoughts with a quote that is not closed": ('<think>He said "x</think>It is "4".', 'He said "x', 'It is "4".'),
    "channels": (
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        DRAFT.strip(),
        ANSWER,
    ),
    "channels to their end": (
        "<|start|>assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=f"
        " <|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        "a\n{}",
        "4",
    ),
    "channels without the first": ("a<|end|><|start|>assistant<|channel|>final<|message|>4", "a", "4"),
    "channels behind a block that is not closed": (
        "<|channel|>analysis<|message|>```\nx<|end|><|start|>assistant<|channel|>final<|message|>\n```\ny\n```\n",
        "```\nx",
        "```\ny\n```\n",
    ),
    "channels without their tokens": ("analysisIs it 4?assistantfinal4", "Is it 4?", "4"),
}
UNTOUCHED = {
    "no tag": "4",
    "a block": "Use this:\n```html\n<think>\n</think>\n```\n",
    "a longer block": "````md\n```\n<think>a</think>\n```\n````\n",
    "a string": 's = "<think>a</think>"',
    "another string": "s = t.split('</think>')[-1]",
    "JSON": '{"prompt": "Say <think>\\"why\\"</think>, then answer."}',
    "code in words": "Put it between `<think>` and `</think>`.",
    "a diff": "<<<<<<< SEARCH\nx = 1\n=======\n</think>\n>>>>>>> REPLACE\n",
    "an opening tag that is a word": "It writes <think> in front.",
    "channels in a block": "```\n<|channel|>analysis<|message|>a<|end|>\n```\n",
    "another tag": "<answer>4</answer>",
}


@pytest.mark.parametrize("name", PARTED)
def test_thoughts_are_apart_from_the_answer(name: str) -> None:
    text, thoughts, answer = PARTED[name]
    found = separated(text)
    assert found.text == answer
    assert thoughts is None or found.reasoning == thoughts
    assert found.ended


@pytest.mark.parametrize("name", UNTOUCHED)
def test_a_tag_within_code_is_code(name: str) -> None:
    assert separated(UNTOUCHED[name]) == (UNTOUCHED[name], "", True)


@pytest.mark.parametrize("text", [f"<think>\n{DRAFT}", "<|channel|>analysis<|message|>hm", "<think>a</think><think>b"])
def test_thoughts_without_an_end_leave_no_answer(text: str) -> None:
    found = separated(text)
    assert (found.text, found.ended) == ("", False)
    assert answered(EndpointReply("ok", text), 64).outcome == "empty"
    cut = answered(EndpointReply("truncated", text, error="the reply is longer than max_tokens"), 64)
    assert (cut.outcome, cut.error) == ("truncated", "cut off at 64 tokens while thinking: raise reply_tokens")
    assert cut.reasoning


@given(st.lists(st.sampled_from(["<think>", "</think>", "```", "```py", "\n", '"', "`", "x ", "<|channel|>", "final"])))
def test_any_text_is_separated_and_its_answer_has_no_thoughts_left(parts: list[str]) -> None:
    text = "".join(parts)
    found = separated(text)
    assert len(found.text) + len(found.reasoning) <= len(text) + text.count("<")
    assert found.text == text or len(found.text) < len(text)


PIECES = (
    *("<think>", "</think>", "<think>\n", "</think>\n", "<think></think>", "<think> </think>\n```\n", "<think>\"'`"),
    *('"', '\\"', "'", "`", "``` ", "```\n", "```py\n<think>\n", "<<<<<<< SEARCH\n", " ", "\n"),
    *("<|channel|>", "<|message|>analysis"),
)


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long_to_separate(piece: str) -> None:
    began = time.process_time()
    for text in (piece * (400_000 // len(piece)), piece * (200_000 // len(piece)) + "</think>" * 20_000):
        separated(text)
    assert time.process_time() - began < 3
