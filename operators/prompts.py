"""Model-free operators on prompts: sentences, parts and demonstrations are dropped, moved, added and mixed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, TypeVar

import numpy as np

from evo.genomes import Prompt
from evo.protocols import Context
from evo.values import Individual, Proposal
from operators.parent_genomes import genomes_of
from operators.prompt_offspring import MAX_WORDS, PLACEHOLDER, checked
from operators.prompt_sentences import Split, split_sentences
from operators.refusal import RefusalError
from operators.sampling import pick, weighted

COMPONENTS = Path(__file__).with_name("prompt_components.txt")

Demonstration = Mapping[str, str]
Demonstrations = tuple[Demonstration, ...]
Varied = tuple[Prompt, str]
T = TypeVar("T")


class PromptOperator(ABC):
    """Changes the base a little. What changes nothing, or changes the placeholders, is tried again.

    Attributes:
        weight: its share where several operators are mixed.
    """

    arity: ClassVar[int] = 1
    kind: ClassVar[str] = "prompt"
    weight: ClassVar[float] = 1.0

    def __init__(self, *, attempts: int = 10, max_words: int = MAX_WORDS) -> None:
        """Options.

        Args:
            attempts: how many offspring are tried before giving up.
            max_words: of an offspring; where the base has more it may not grow.
        """
        self.attempts = attempts
        self.max_words = max_words

    @abstractmethod
    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        """A changed base and what was done to it, in words.

        Raises:
            RefusalError: there is nothing to change.
        """

    async def propose(self, parents: Sequence[Individual], context: Context) -> Proposal:
        try:
            return self._first_fit(genomes_of(parents, Prompt, self.arity), context.rng)
        except RefusalError as refusal:
            return Proposal(refusal.outcome, thought=str(refusal))

    def _first_fit(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Proposal:
        refusal = RefusalError("refused", "no attempt was allowed")
        for _ in range(self.attempts):
            child, done = self.vary(prompts, rng)
            try:
                return Proposal("ok", checked(child, prompts, self.max_words), done)
            except RefusalError as reason:
                refusal = reason
        raise refusal


class Delete(PromptOperator):
    """Drops a sentence, a demonstration, or a whole part; never text that holds a placeholder."""

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base = prompts[0]
        splits = _splits(base)
        sentences = [(name, index) for name, index in _free_places(splits) if len(splits[name].sentences) > 1]
        parts = [name for name, text in base.parts.items() if len(base.parts) > 1 and not PLACEHOLDER.search(text)]
        kinds = {"sentence": 4.0 * bool(sentences), "demonstration": 2.0 * bool(base.demonstrations)}
        match _kind(rng, kinds | {"part": 1.0 * bool(parts)}, "drop"):
            case "sentence":
                name, index = pick(rng, sentences)
                dropped = splits[name].sentences[index]
                return _with_text(base, name, splits[name].without(index)), f"dropped {_quoted(dropped)}"
            case "demonstration":
                index = int(rng.integers(len(base.demonstrations)))
                left = (*base.demonstrations[:index], *base.demonstrations[index + 1 :])
                return _with(base, demonstrations=left), f"dropped demonstration {index + 1}"
        gone = pick(rng, parts)
        return _with(base, {name: text for name, text in base.parts.items() if name != gone}), f"dropped part {gone!r}"


class Swap(PromptOperator):
    """Exchanges two sentences, of a single part or of two, or two demonstrations."""

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base = prompts[0]
        splits = _splits(base)
        places = [(name, index) for name, split in splits.items() for index in range(len(split.sentences))]
        count = len(base.demonstrations)
        kinds = {"sentences": 3.0 * (len(places) > 1), "demonstrations": 1.0 * (count > 1)}
        if _kind(rng, kinds, "swap") == "demonstrations":
            order = list(range(count))
            first, other = map(int, rng.choice(count, 2, replace=False))
            order[first], order[other] = other, first
            swapped = tuple(base.demonstrations[index] for index in order)
            return _with(base, demonstrations=swapped), f"swapped demonstrations {first + 1} and {other + 1}"
        here, there = (places[index] for index in rng.choice(len(places), 2, replace=False))
        texts = [splits[name].sentences[index] for name, index in (here, there)]
        for (name, index), text in zip((here, there), reversed(texts), strict=True):
            splits[name] = splits[name].replaced(index, text)
        parts = {name: split.text for name, split in splits.items()}
        return _with(base, parts), f"swapped {_quoted(texts[0])} and {_quoted(texts[1])}"


class Reorder(PromptOperator):
    """Shuffles the parts, or the demonstrations."""

    weight: ClassVar[float] = 0.5

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base = prompts[0]
        kinds = {"parts": 1.0 * (len(base.parts) > 1), "demonstrations": 1.0 * (len(base.demonstrations) > 1)}
        if _kind(rng, kinds, "reorder") == "demonstrations":
            return _with(base, demonstrations=tuple(_shuffled(base.demonstrations, rng))), "shuffled the demonstrations"
        return _with(base, dict(_shuffled(list(base.parts.items()), rng))), "shuffled the parts"


class Add(PromptOperator):
    """Adds a component of the package's own corpus: an instruction that is of use in many tasks."""

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base = prompts[0]
        whole = "\n".join(base.parts.values())
        fresh = {
            category: left
            for category, known in components().items()
            if (left := [component for component in known if component not in whole])
        }
        if not fresh:
            raise RefusalError("refused", "the prompt has every component of the corpus already")
        category = pick(rng, list(fresh))
        return _inserted(base, pick(rng, list(base.parts)), pick(rng, fresh[category]), rng, f" ({category})")


class Graft(PromptOperator):
    """Adds a sentence of the mate that the base does not have, in the part of the same name if there is any."""

    arity: ClassVar[int] = 2

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base, mate = prompts
        known = {sentence for split in _splits(base).values() for sentence in split.sentences}
        theirs = _splits(mate)
        strange = [place for place in _free_places(theirs) if theirs[place[0]].sentences[place[1]] not in known]
        if not strange:
            raise RefusalError("duplicate", "the base has every sentence of the mate already")
        name, index = pick(rng, strange)
        place = name if name in base.parts else pick(rng, list(base.parts))
        return _inserted(base, place, theirs[name].sentences[index], rng, " of the mate")


class Mix(PromptOperator):
    """Takes each part and each demonstration from either parent, parts by their names; the format is the base's.

    Where the parents differ in too little for that, a part is made of the head of the first and the tail of the second.
    """

    arity: ClassVar[int] = 2
    weight: ClassVar[float] = 2.0

    def vary(self, prompts: Sequence[Prompt], rng: np.random.Generator) -> Varied:
        base, mate = prompts
        mixed = _with(base, _mixed_parts(base, mate, rng), _mixed(base.demonstrations, mate.demonstrations, rng))
        if mixed.canonical not in {base.canonical, mate.canonical}:
            return mixed, "took parts and demonstrations from both parents"
        shared = [name for name in base.parts if name in mate.parts and base.parts[name] != mate.parts[name]]
        if not shared:
            return mixed, "took everything from a single parent"
        name = pick(rng, shared)
        spliced = _spliced(split_sentences(base.parts[name]), split_sentences(mate.parts[name]), rng)
        return _with_text(base, name, spliced), f"joined the head of part {name!r:.80} to the tail of the mate's"


@cache
def components() -> Mapping[str, tuple[str, ...]]:
    """The corpus: category to instructions, each a sentence without a placeholder."""
    found: dict[str, tuple[str, ...]] = {}
    for line in COMPONENTS.read_text("utf-8").splitlines():
        category, _, sentence = line.partition(": ")
        found[category] = (*found.get(category, ()), sentence)
    return MappingProxyType(found)


def _with(base: Prompt, parts: Mapping[str, str] | None = None, demonstrations: Demonstrations | None = None) -> Prompt:
    parts = base.parts if parts is None else parts
    return Prompt(dict(parts), base.demonstrations if demonstrations is None else demonstrations, base.format)


def _with_text(base: Prompt, name: str, split: Split) -> Prompt:
    return _with(base, {**base.parts, name: split.text})


def _splits(prompt: Prompt) -> dict[str, Split]:
    return {name: split_sentences(text) for name, text in prompt.parts.items()}


def _free_places(splits: Mapping[str, Split]) -> list[tuple[str, int]]:
    """Part and index of every sentence without a placeholder."""
    return [
        (name, index)
        for name, split in splits.items()
        for index, sentence in enumerate(split.sentences)
        if not PLACEHOLDER.search(sentence)
    ]


def _kind(rng: np.random.Generator, weights: Mapping[str, float], verb: str) -> str:
    possible = {kind: weight for kind, weight in weights.items() if weight}
    if not possible:
        raise RefusalError("refused", f"the prompt has nothing to {verb}: {', '.join(weights)}")
    return weighted(rng, possible)


def _inserted(base: Prompt, name: str, sentence: str, rng: np.random.Generator, whence: str) -> Varied:
    split = split_sentences(base.parts[name])
    split = split.inserted(int(rng.integers(len(split.sentences) + 1)), sentence)
    return _with_text(base, name, split), f"added {_quoted(sentence)}{whence}"


def _shuffled(items: Sequence[T], rng: np.random.Generator) -> list[T]:
    """The items in another order: never their own."""
    order = [int(index) for index in rng.permutation(len(items))]
    if order == sorted(order):
        order.reverse()
    return [items[index] for index in order]


def _mixed_parts(base: Prompt, mate: Prompt, rng: np.random.Generator) -> dict[str, str]:
    """Parts of a single parent are as likely in as out, but a placeholder of the base's stays and no other comes."""
    mixed = {}
    for name, text in base.parts.items():
        takes = rng.random() < 0.5
        if name in mate.parts:
            mixed[name] = mate.parts[name] if takes else text
        elif takes or PLACEHOLDER.search(text):
            mixed[name] = text
    for name, text in mate.parts.items():
        if name not in base.parts and rng.random() < 0.5 and not PLACEHOLDER.search(text):
            mixed[name] = text
    return mixed or dict(base.parts)


def _mixed(ours: Demonstrations, theirs: Demonstrations, rng: np.random.Generator) -> Demonstrations:
    """Each place from either parent, which may leave it empty; no demonstration twice."""
    mixed: list[Demonstration] = []
    for index in range(max(len(ours), len(theirs))):
        chosen = theirs if rng.random() < 0.5 else ours
        mixed += [demonstration for demonstration in chosen[index : index + 1] if demonstration not in mixed]
    return tuple(mixed)


def _spliced(head: Split, tail: Split, rng: np.random.Generator) -> Split:
    first = int(rng.integers(len(head.sentences) + 1))
    last = int(rng.integers(len(tail.sentences) + 1))
    sentences = (*head.sentences[:first], *tail.sentences[last:])
    gaps = [*head.gaps[: first + 1], *tail.gaps[last + 1 :]]
    if first > 0 and last < len(tail.sentences) and not gaps[first]:
        gaps[first] = "\n"  # the end of a text, where the middle of another now is
    return Split(sentences, tuple(gaps))


def _quoted(sentence: str) -> str:
    return f"{sentence!r:.200}"
