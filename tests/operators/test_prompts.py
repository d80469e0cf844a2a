"""Laws of the model-free operators on prompts, and of cutting a text into sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.genomes import Prompt
from evo.testing.contracts.operator_contract import propose
from evo.testing.contracts.parents import FOUR, ODD_PROMPTS
from evo.values import Proposal
from operators.prompt_offspring import MAX_WORDS, PLACEHOLDER, placeholders_of
from operators.prompt_sentences import split_sentences
from operators.prompts import Add, Delete, Graft, Mix, PromptOperator, Reorder, Swap, components

CLASSES = (Add, Delete, Graft, Mix, Reorder, Swap)
each_operator = pytest.mark.parametrize("operator", CLASSES, ids=lambda operator: operator.__name__)


NAMES = st.sampled_from(["role", "instruction", "question", "care", "a"]) | st.text(max_size=4)
PIECES = st.sampled_from(
    [
        *("Think first.", "Be brief!", "Is it so?", "- an item", "1. Do it.", "e.g. this", "{question}", "{x} is it."),
        *("```", "~~~ x", "`a. B`", "Dr. No", "你好。", '"So."', "(cf. Fig. 2)", "wrapped", "{", "}", "..."),
    ]
)
GAPS = st.sampled_from([" ", "  ", "\n", "\n\n", "\r\n", "\t", "", "\u2028", "\n  "])
TEXTS = st.lists(st.tuples(PIECES | st.text(max_size=6), GAPS), max_size=8).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
DEMONSTRATIONS = st.lists(st.dictionaries(NAMES, TEXTS, max_size=2), max_size=4).map(tuple)
PROMPTS = st.builds(Prompt, st.dictionaries(NAMES, TEXTS, min_size=1, max_size=4), DEMONSTRATIONS)


@each_operator
@settings(max_examples=40)
@given(base=PROMPTS, mate=PROMPTS, seed=st.integers(0, 1000))
def test_an_offspring_is_new_and_has_the_placeholders_of_its_base(
    operator: type[PromptOperator], base: Prompt, mate: Prompt, seed: int
) -> None:
    before = base.to_json(), mate.to_json()
    parents = [base, mate][: operator.arity]
    proposal = propose(operator(), parents, None, seed)
    assert proposal == propose(operator(), parents, None, seed)
    assert (base.to_json(), mate.to_json()) == before
    assert len(proposal.thought.split()) >= 3 or proposal.genome
    proposal.thought.encode()
    if child := proposal.genome:
        assert isinstance(child, Prompt)
        assert child.canonical not in {base.canonical, mate.canonical if operator.arity > 1 else ""}
        assert placeholders_of(child) == placeholders_of(base)
        assert child.format == base.format


@given(TEXTS)
def test_sentences_and_gaps_joined_are_the_text(text: str) -> None:
    split = split_sentences(text)
    assert split.text == text
    assert len(split.gaps) == len(split.sentences) + 1
    assert not "".join(split.gaps).strip()
    assert all(sentence.strip() == sentence != "" for sentence in split.sentences)


@given(TEXTS, TEXTS.filter(str.strip), st.data())
def test_a_sentence_that_goes_in_and_out_again_leaves_the_sentences(text: str, new: str, draw: st.DataObject) -> None:
    split = split_sentences(text)
    index = draw.draw(st.integers(0, len(split.sentences)))
    more = split.inserted(index, new)
    assert more.sentences[index] == new
    assert all(gap.isspace() for gap in more.gaps[1:-1] if gap not in split.gaps)
    assert more.without(index).sentences == split.sentences
    assert len(more.without(index).gaps) == len(split.gaps)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n", []),
        ("Think. Then act! Why? So...", ["Think.", "Then act!", "Why?", "So..."]),
        ("Use e.g. Python or Dr. No's 3.14 vs. Pi. Done.", ["Use e.g. Python or Dr. No's 3.14 vs. Pi.", "Done."]),
        ("Ask J. R. Smith (cf. Fig. 2). Go.", ["Ask J. R. Smith (cf. Fig. 2).", "Go."]),
        ("1. Read it.\n 2. Solve it. It is 5. Good.", ["1. Read it.", "2. Solve it.", "It is 5.", "Good."]),
        ('Say "Yes." Then (really.) stop.', ['Say "Yes."', "Then (really.) stop."]),
        ("Say yes or no. Nothing else... and so on", ["Say yes or no.", "Nothing else... and so on"]),
        ("a line that\ngoes on. Next\nOne", ["a line that\ngoes on.", "Next", "One"]),
        ("Do:\n- a. B\n- c\n\nend", ["Do:", "- a. B", "- c", "end"]),
        (
            "Code:\n```python\nx. Y\n\nz\n```\nEnd. `a. B` C.",
            ["Code:", "```python\nx. Y\n\nz\n```", "End.", "`a. B` C."],
        ),
        ("```\nA. B", ["```\nA. B"]),
        ("你好。再见\uff01Yes", ["你好。", "再见\uff01", "Yes"]),
        ("Q: {question}\nA:", ["Q: {question}", "A:"]),
    ],
)
def test_a_text_is_cut_where_a_reader_would(text: str, sentences: list[str]) -> None:
    assert list(split_sentences(text).sentences) == sentences


def test_a_long_text_is_cut_in_no_time() -> None:
    began = time.process_time()
    for text in ("a. B " * 100_000, "`" * 300_000, "```\n" * 60_000, "`a " * 100_000, " " * 500_000, "." * 500_000):
        assert split_sentences(text).text == text
    assert time.process_time() - began < 5


def test_a_dropped_sentence_takes_one_gap_with_it_and_no_line_break_of_others() -> None:
    split = split_sentences("One. Two.\n\nThree.\n")
    assert split.without(0).text == "Two.\n\nThree.\n"
    assert split.without(1).text == "One.\n\nThree.\n"
    assert split.without(2).text == "One. Two.\n"


def test_a_sentence_goes_in_on_a_line_of_its_own_where_the_others_are() -> None:
    assert split_sentences("One. Two.").inserted(1, "New.").text == "One. New. Two."
    assert split_sentences("- one\r\n- two").inserted(1, "New.").text == "- one\r\nNew.\r\n- two"
    assert split_sentences("Question: {question}").inserted(1, "New.").text == "Question: {question}\nNew."
    assert split_sentences("").inserted(0, "New.").text == "New."


def offspring(operator: PromptOperator, parents: Sequence[Prompt], seeds: int = 60) -> list[tuple[Prompt, Proposal]]:
    made = [propose(operator, parents, None, seed) for seed in range(seeds)]
    return [(proposal.genome, proposal) for proposal in made if isinstance(proposal.genome, Prompt)]


def sentences_of(prompt: Prompt) -> list[str]:
    return sorted(sentence for text in prompt.parts.values() for sentence in split_sentences(text).sentences)


def words_of(prompt: Prompt) -> list[str]:
    return sorted(" ".join(prompt.parts.values()).split())


def test_deleting_drops_a_sentence_a_demonstration_or_a_part_and_nothing_else() -> None:
    base, kinds = FOUR[0], set()
    for child, _ in offspring(Delete(), [base]):
        sentences, parts, shown = (
            len(sentences_of(base)) - len(sentences_of(child)),
            len(base.parts) - len(child.parts),
            len(base.demonstrations) - len(child.demonstrations),
        )
        kinds.add((sentences > 0, parts, shown))
        assert parts or sentences <= 1
        assert "{question}" in child.parts["question"]
    assert kinds == {(True, 0, 0), (True, 1, 0), (False, 0, 1)}


def test_the_last_sentence_the_last_part_and_placeholders_are_never_deleted() -> None:
    for prompt in (Prompt({"a": "Think."}), Prompt({"a": "{x} is. {x} was."}), Prompt({"a": "{x}", "b": "{y}"})):
        proposal = propose(Delete(), [prompt], None, 0)
        assert (proposal.outcome, proposal.thought[:34]) == ("refused", "the prompt has nothing to drop: se")


def test_swapping_keeps_every_word_and_demonstration() -> None:
    across = False
    for child, _ in offspring(Swap(), [FOUR[0]]):
        assert words_of(child) == words_of(FOUR[0])
        assert sorted(map(str, child.demonstrations)) == sorted(map(str, FOUR[0].demonstrations))
        across |= sum(child.parts[name] != text for name, text in FOUR[0].parts.items()) == 2
    assert across


def test_reordering_keeps_every_text() -> None:
    orders = {tuple(child.parts) for child, _ in offspring(Reorder(), [FOUR[0]])}
    assert len(orders) == 6
    for child, _ in offspring(Reorder(), [FOUR[0]]):
        assert dict(child.parts) == dict(FOUR[0].parts)
        assert sorted(map(str, child.demonstrations)) == sorted(map(str, FOUR[0].demonstrations))


def test_adding_puts_one_component_that_is_new() -> None:
    known = {text: category for category, several in components().items() for text in several}
    seen = set()
    for child, proposal in offspring(Add(), [FOUR[0]], 200):
        added = set(sentences_of(child)) - set(sentences_of(FOUR[0]))
        assert len(added) == 1
        category = known[added.pop()]
        assert category in proposal.thought
        seen.add(category)
    assert seen == set(components())
    everything = Prompt({"a": "\n".join(known)})
    assert "every component of the corpus already" in propose(Add(), [everything], None, 0).thought


def test_the_corpus_holds_about_forty_single_sentences_of_several_categories() -> None:
    texts = [text for several in components().values() for text in several]
    assert 35 <= len(texts) == len(set(texts)) <= 60
    assert len(components()) >= 7
    assert all(len(split_sentences(text).sentences) == 1 and not PLACEHOLDER.search(text) for text in texts)
    assert all(category and text.endswith(".") for category, several in components().items() for text in several)


def test_grafting_takes_a_sentence_of_the_mate_to_the_part_of_its_name() -> None:
    for child, proposal in offspring(Graft(), [FOUR[0], FOUR[3]]):
        added = set(sentences_of(child)) - set(sentences_of(FOUR[0]))
        assert added <= set(sentences_of(FOUR[3]))
        assert len(added) == 1
        assert proposal.thought.endswith(" of the mate")
        assert ("You rhyme." in added) <= ("You rhyme." in child.parts["role"])
    assert propose(Graft(), [FOUR[0], FOUR[0]], None, 0).outcome == "duplicate"


def test_mixing_takes_each_part_and_demonstration_from_a_parent() -> None:
    base, mate = (
        FOUR[0],
        Prompt(
            {"role": "R.", "question": "{question}?", "instruction": "I.", "new": "N."},
            ({"question": "7?", "answer": "7"},),
        ),
    )
    taken = set()
    for child, _ in offspring(Mix(), [base, mate]):
        assert all(text in {base.parts.get(name), mate.parts.get(name)} for name, text in child.parts.items())
        assert all(
            demonstration in (*base.demonstrations, *mate.demonstrations) for demonstration in child.demonstrations
        )
        taken |= {(name, text) for name, text in child.parts.items()}
    assert taken == {*base.parts.items(), *mate.parts.items()}


def test_no_attempt_is_lost_on_the_order_of_the_base_or_on_a_placeholder_of_one_parent() -> None:
    mate = Prompt({"a": "One.", "b": "Two.", "c": "Three {x}."})
    base = Prompt({"a": "Four.", "b": "Five.", "question": "{question}"})
    assert len(offspring(Reorder(attempts=1), [base])) == 60
    assert all("{question}" in child.parts["question"] for child, _ in offspring(Mix(attempts=1), [base, mate]))
    refusals = [propose(Mix(attempts=1), [base, mate], None, seed).thought for seed in range(60)]
    assert not any("placeholder" in refusal for refusal in refusals)


def test_a_mixture_shows_no_demonstration_twice() -> None:
    shown = {"q": "1"}, {"q": "2"}, {"q": "3"}
    parents = [Prompt({"a": "One.", "b": "Two."}, shown), Prompt({"a": "Three.", "b": "Two."}, shown[::-1])]
    for child, _ in offspring(Mix(), parents):
        assert len({demonstration["q"] for demonstration in child.demonstrations}) == len(child.demonstrations)


def test_two_prompts_of_one_part_are_mixed_within_it() -> None:
    parents = [Prompt({"a": "One {q}. Two. Three."}), Prompt({"a": "Four {q}. Five. Six."})]
    texts = {child.parts["a"] for child, _ in offspring(Mix(), parents)}
    assert "One {q}. Five. Six." in texts
    assert len(texts) > 5
    assert propose(Mix(), [parents[0]] * 2, None, 0).outcome == "duplicate"


def test_a_prompt_does_not_grow_past_its_limit() -> None:
    long = Prompt({"a": "Words. " * MAX_WORDS})
    assert f"at most {MAX_WORDS}" in propose(Add(), [long], None, 0).thought
    assert propose(Delete(), [long], None, 0).outcome == "ok"
    assert propose(Add(max_words=2), [Prompt({"a": "b"})], None, 0).outcome == "refused"


@each_operator
@pytest.mark.parametrize("name", ["1,000 parts", "10,000 sentences", "one word of 1 MB", "1,000 demonstrations"])
def test_no_prompt_takes_long_to_vary(operator: type[PromptOperator], name: str) -> None:
    began = time.process_time()
    proposed = partial(propose, operator(), [ODD_PROMPTS[name], FOUR[0]][: operator.arity], None)
    assert {proposed(seed).outcome for seed in range(2)} <= {"ok", "refused", "duplicate"}
    assert time.process_time() - began < 4
