"""Laws of every operator that asks a language model; the suites of programs, prompts and architectures subclass it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evo.genomes import Genome, Vector
from evo.models import BudgetSpentError, Completion, CompletionOutcome, ModelAccessError, Request
from evo.protocols import Context
from evo.testing.scripted import ScriptedModel
from evo.values import Ask, Evaluation, Individual, Proposal, ProposalOutcome
from operators.llm.model_operator import ModelOperator
from tests.support.model_operators import Rule, always, but_for_call, proposed
from tests.support.model_replies import CORPUS, FAILED, SHORT

STRANGER = Individual(0, 0, Ask(0, "seed"), Vector((1.0,)), Evaluation("ok"))
ERRORS = (BudgetSpentError("the cap"), ModelAccessError("no such key"))


class ModelOperatorContract:
    """A subclass gives the operators, parents for them, and what a reply may look like.

    Attributes:
        context: of all proposals, but for randomness and model.
        ordinary: name of parents of which every operator makes an offspring where the reply is good.
        others: names of other parents, to which no reply may do harm.
        odd: names of parents that are hard to show: long, hostile, broken.
        own_replies: replies of the family's own, beside those that all share.
        made_replies: replies from pieces that mean something to the reader of replies.
    """

    context: ClassVar[Context]
    ordinary: ClassVar[str]
    others: ClassVar[Sequence[str]]
    odd: ClassVar[Sequence[str]]
    own_replies: ClassVar[Sequence[str]]
    made_replies: ClassVar[st.SearchStrategy[str]]

    @pytest.fixture(scope="class")
    def operator(self) -> type[ModelOperator]:
        raise NotImplementedError("a subclass gives the operators")

    def calls(self, operator: type[ModelOperator]) -> int:
        """Requests that it sends for one proposal."""
        return 1

    def parents(self, operator: type[ModelOperator], name: str) -> list[Individual]:
        """As many as it takes."""
        raise NotImplementedError("a subclass gives the parents")

    def odd_parents(self, operator: type[ModelOperator], name: str) -> list[Individual]:
        """As many as it takes, with hostile feedback that is longer than a prompt."""
        raise NotImplementedError("a subclass gives the odd parents")

    def good_reply(self, operator: type[ModelOperator]) -> str:
        """Words with "Squares" in them, and an offspring of the ordinary parents; it can do for a lesson too."""
        raise NotImplementedError("a subclass gives a good reply")

    def assert_child(self, child: Genome, parents: Sequence[Individual]) -> None:
        """What holds of any offspring of these parents."""
        raise NotImplementedError("a subclass says what an offspring keeps")

    def propose(self, operator: type[ModelOperator], name: str, rule: Rule, **options: Any) -> Proposal:
        return proposed(operator(**options), self.parents(operator, name), ScriptedModel(rule), self.context)

    def requests(self, operator: type[ModelOperator], seed: int) -> list[Request]:
        model = ScriptedModel(always(self.good_reply(operator)))
        proposed(operator(), self.parents(operator, self.ordinary), model, self.context, seed=seed)
        return model.requests

    def assert_lawful(self, proposal: Proposal, parents: Sequence[Individual]) -> None:
        assert proposal.outcome in get_args(ProposalOutcome)
        proposal.thought.encode()
        for lesson in proposal.lessons:
            lesson.text.encode()
            assert len(lesson.text.splitlines()) == 1 <= len(lesson.text.split())
        if proposal.genome is None:
            assert len(proposal.thought.split()) >= 3
            return
        assert proposal.genome.kind == parents[0].genome.kind
        assert proposal.genome.canonical != parents[0].genome.canonical
        self.assert_child(proposal.genome, parents)

    def test_it_says_that_it_needs_a_model_and_what_it_takes(self, operator: type[ModelOperator]) -> None:
        assert operator.needs_model
        assert operator.weight > 0
        assert len(self.parents(operator, self.ordinary)) == operator.arity

    def test_a_good_reply_is_an_offspring_with_a_thought(self, operator: type[ModelOperator]) -> None:
        proposal = self.propose(operator, self.ordinary, always(self.good_reply(operator)))
        assert proposal.outcome == "ok", proposal.thought
        assert "Squares" in proposal.thought
        self.assert_lawful(proposal, self.parents(operator, self.ordinary))

    def test_no_reply_makes_it_raise_or_breaks_an_offspring(self, operator: type[ModelOperator]) -> None:
        parents = self.parents(operator, self.ordinary)
        for reply in [*CORPUS.values(), *self.own_replies]:
            self.assert_lawful(self.propose(operator, self.ordinary, always(reply)), parents)
        for reply in SHORT if self.calls(operator) > 1 else ():
            last = but_for_call(self.calls(operator) - 1, reply, self.good_reply(operator))
            self.assert_lawful(self.propose(operator, self.ordinary, last), parents)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_no_made_up_reply_makes_it_raise_or_breaks_an_offspring(
        self, operator: type[ModelOperator], data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from([self.ordinary, *self.others]))
        reply, call = data.draw(self.made_replies), data.draw(st.integers(-1, self.calls(operator) - 1))
        rule = but_for_call(call, reply, self.good_reply(operator)) if call >= 0 else always(reply)
        self.assert_lawful(self.propose(operator, name, rule), self.parents(operator, name))

    @pytest.mark.parametrize("outcome", FAILED)
    def test_a_failed_completion_has_the_right_outcome_and_says_why(
        self, operator: type[ModelOperator], outcome: CompletionOutcome
    ) -> None:
        failed = FAILED[outcome]
        rules = [but_for_call(call, failed, self.good_reply(operator)) for call in range(self.calls(operator))]
        proposals = [self.propose(operator, self.ordinary, rule) for rule in (always(failed), *rules)]
        for proposal in proposals:
            self.assert_lawful(proposal, self.parents(operator, self.ordinary))
            if proposal.genome is None:
                assert proposal.outcome == outcome
                assert failed.error.split(" \ud800")[0] in proposal.thought
        assert {proposals[0].outcome, proposals[-1].outcome} == {outcome}  # the last call is the one for the offspring

    def test_a_truncated_reply_says_that_it_was(self, operator: type[ModelOperator]) -> None:
        good = self.good_reply(operator)
        torn = but_for_call(self.calls(operator) - 1, Completion("truncated", good.rstrip()[:-3]), good)
        proposal = self.propose(operator, self.ordinary, torn)
        assert proposal.outcome == "truncated"
        assert "cut off at 4096 tokens" in proposal.thought

    def test_a_truncated_reply_counts_where_its_offspring_is_complete(self, operator: type[ModelOperator]) -> None:
        whole = Completion("truncated", self.good_reply(operator) + "\nAnd no")
        assert self.propose(operator, self.ordinary, always(whole)).outcome == "ok"

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_what_ends_the_search_passes_through(self, operator: type[ModelOperator], error: Exception) -> None:
        for number in range(self.calls(operator)):
            calls = itertools.count()

            def rule(request: Request, number: int = number, calls: itertools.count[int] = calls) -> str:
                if next(calls) == number:
                    raise error
                return self.good_reply(operator)

            with pytest.raises(type(error), match=str(error)):
                self.propose(operator, self.ordinary, rule)

    def test_it_pays_for_nothing_without_a_model_or_parents(self, operator: type[ModelOperator]) -> None:
        parents, silent = self.parents(operator, self.ordinary), ScriptedModel(always(""))
        few, strangers = parents[:-1], [STRANGER] * operator.arity
        assert "the run has none" in proposed(operator(), parents, None, self.context).thought
        assert f"expected {operator.arity} parents" in proposed(operator(), few, silent, self.context).thought
        assert f"of kind {operator.kind}" in proposed(operator(), strangers, silent, self.context).thought
        assert not silent.requests

    def test_what_it_sends_can_be_encoded_and_keeps_to_the_budget(self, operator: type[ModelOperator]) -> None:
        for number, name in enumerate(self.odd):
            for tokens in (1500, 6000) if number == 0 else (1500,):
                model = ScriptedModel(always(self.good_reply(operator)))
                proposed(operator(prompt_tokens=tokens), self.odd_parents(operator, name), model, self.context)
                assert model.requests, name
                for request in model.requests:
                    self.assert_fits(request, tokens, name)

    def assert_fits(self, request: Request, tokens: int, name: str) -> None:
        system, user = (message.text for message in request.messages)
        (system + user).encode()
        assert len(system) + len(user) <= 4 * tokens, name
        assert "# Reply" in user, name

    def test_its_requests_follow_from_the_randomness_and_differ(self, operator: type[ModelOperator]) -> None:
        assert self.requests(operator, 1) == self.requests(operator, 1)
        assert len({request.seed for request in self.requests(operator, 1)}) == self.calls(operator)
        assert self.requests(operator, 1)[0].digest != self.requests(operator, 2)[0].digest
