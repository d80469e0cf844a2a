"""From journal events to table rows. Pure: no database, no file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evo.journal.log import Event

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]

_JSON = json.JSONEncoder(ensure_ascii=False).encode


class RowMaker:
    """Turns events into rows, and remembers what candidates under way still need: their ask and their proposal."""

    def __init__(self) -> None:
        self._asks: dict[int, tuple[int, Event]] = {}
        self._proposals: dict[int, tuple[int, Event]] = {}
        self._makers: Mapping[str, Callable[[Event, Rows], None]] = {
            "run": self._run,
            "proposal": self._proposal,
            "tell": self._tell,
            "reevaluation": self._reevaluated,
            "completion": self._completion,
            "holdout": self._holdout,
            "race": self._race,
        }

    def oldest_pending(self, otherwise: int) -> int:
        """Offset of the oldest event that an untold candidate still needs."""
        pending = [*self._first(self._asks), *self._first(self._proposals)]
        return min([*pending, otherwise])

    def remember(self, offset: int, event: Event) -> None:
        """Take in an event that was projected before, only for what is still pending on it."""
        if event["event"] == "ask":
            self._asks[event["ask"]] = (offset, event)
        elif event["event"] == "proposal":
            if event["outcome"] == "ok":
                self._proposals[event["individual"]] = (offset, event)
            else:
                self._asks.pop(event["ask"], None)
        elif event["event"] == "tell":
            _, proposal = self._proposals.pop(event["individual"], (0, {}))
            self._asks.pop(proposal.get("ask", -1), None)
        elif event["event"] == "reevaluation":
            self._asks.pop(event["ask"], None)

    def add(self, offset: int, event: Event, rows: Rows) -> None:
        """Append the rows of a new event."""
        self._makers.get(event["event"], self._other)(event, rows)
        self.remember(offset, event)

    @staticmethod
    def _first(pending: Mapping[int, tuple[int, Event]]) -> list[int]:
        return [next(iter(pending.values()))[0]] if pending else []

    def _run(self, event: Event, rows: Rows) -> None:
        config, versions = json.dumps(event["config"]), json.dumps(event["versions"])
        description = text(event["description"])
        run = (
            event["run"],
            moment(event["at"]),
            event["problem"],
            description,
            event["config"]["seed"],
            config,
            versions,
            event.get("cases"),
        )
        rows["runs"].append(run)
        for position, one in enumerate(event["objectives"]):
            rows["objective_names"].append((position, one["name"], one["direction"], one["unit"]))

    def _proposal(self, event: Event, rows: Rows) -> None:
        ask = self._asks[event["ask"]][1]
        rows["proposals"].append(
            (
                *(event["ask"], event.get("individual"), ask["island"], ask["operator"], ask["model"]),
                *(event["outcome"], text(event["thought"]), moment(event["at"])),
            )
        )
        rows["lessons"].extend(
            (event["ask"], event.get("individual"), kind, text(lesson)) for kind, lesson in event.get("lessons", ())
        )

    def _completion(self, event: Event, rows: Rows) -> None:
        request, one = event["request"], event["completion"]
        prompt = text(_JSON(request["messages"]))
        rows["completions"].append(
            (
                *(event["ask"], event["stage"], request["purpose"], one["model"], one["endpoint"], one["outcome"]),
                *(one["input_tokens"], one["cached_tokens"], one["output_tokens"], one["cost_usd"], one["seconds"]),
                *(one["requests"], prompt, text(one["text"]), text(one["error"]), moment(event["at"])),
            )
        )

    def _tell(self, event: Event, rows: Rows) -> None:
        proposal = self._proposals[event["individual"]][1]
        ask = self._asks[proposal["ask"]][1]
        rows["individuals"].append(_individual(event, proposal, ask))
        rows["parents"].extend((event["individual"], parent, role) for parent, role in ask["parents"])
        self._evaluation(event, "train", rows)
        tell = event["tell"]
        island = ask["island"]
        if event["survived"]:
            rows["arrivals"].append((tell, event["individual"], island, None, "born"))
        rows["removals"].extend((tell, one, island) for one in event["removed"])
        self._status(event, [event["individual"]] if event["entered_front"] else [], rows)
        if "compared" in event:
            self._measurements(event, event["evaluation"]["objectives"], 1, rows)
        rows["reference_points"].extend((tell, name, value) for name, value in event.get("reference", {}).items())
        evaluation = event["evaluation"]
        for table in ("cases", "descriptors"):
            rows[table].extend((event["individual"], name, value) for name, value in evaluation.get(table, {}).items())

    def _reevaluated(self, event: Event, rows: Rows) -> None:
        """Another measurement: its evaluation, what all of them come to, and what that changed."""
        ok, number = event["evaluation"]["outcome"] == "ok", event["measurements"]
        self._evaluation(event, "train", rows, attempt=number - 1 if ok else number)
        if ok:
            self._measurements(event, event["mean"], number, rows)
        rows["removals"].extend((event["tell"], event["individual"], island) for island in event["gone"])
        self._status(event, event["entered_front"], rows)

    @staticmethod
    def _measurements(event: Event, mean: Mapping[str, float], number: int, rows: Rows) -> None:
        evaluation, compared = event["evaluation"], event["compared"]
        rows["measurements"].extend(
            (event["tell"], event["individual"], number, name, value, mean[name], compared[name], evaluation["seconds"])
            for name, value in evaluation["objectives"].items()
        )

    @staticmethod
    def _status(event: Event, entered: Sequence[int], rows: Rows) -> None:
        """Who moved where, who entered and left the front, how far the search is, and who leads it."""
        tell = event["tell"]
        for individual, source, target, reason, removed in event.get("moves", ()):
            rows["removals"].extend((tell, one, target) for one in removed)
            rows["arrivals"].append((tell, individual, target, source, reason))
        rows["front_moves"].extend((tell, one, False) for one in event["left_front"])
        rows["front_moves"].extend((tell, one, True) for one in entered)
        measured = event["hypervolume"], event["diversity"], *event.get("niches", (None, None))
        rows["indicators"].append((tell, event["front"], event["population"], *event["best"], *measured))
        rows["leaders"].extend((tell, name, *one) for name, one in event.get("leaders", {}).items())

    def _holdout(self, event: Event, rows: Rows) -> None:
        self._evaluation(event, event["part"], rows)

    def _race(self, event: Event, rows: Rows) -> None:
        raced, finalists = (
            [one for one, promoted, _ in event["verdicts"] if promoted or not only] for only in (False, True)
        )
        detail = json.dumps({"individuals": raced, "finalists": finalists})
        rows["events"].append((moment(event["at"]), "race", detail))

    def _evaluation(self, event: Event, stage: str, rows: Rows, *, attempt: int = 0) -> None:
        values, one = event["evaluation"], event["individual"]
        violation = sum(max(0.0, amount) for amount in values["violations"].values())
        rows["evaluations"].append(
            (
                *(
                    one,
                    attempt,
                    stage,
                    values["outcome"],
                    values["seconds"],
                    values["cpu_seconds"],
                    values["memory_bytes"],
                ),
                *(moment(values["started"]), values["worker"], values["node"], values["isolation"]),
                *(violation, text(values["feedback"]), len(values.get("cases", ()))),
            )
        )
        if stage == "train" and not attempt:
            rows["objectives"].extend((one, name, value) for name, value in values["objectives"].items())
        elif stage != "train":
            rows["finals"].extend((one, stage, name, value) for name, value in values["objectives"].items())

    def _other(self, event: Event, rows: Rows) -> None:
        if event["event"] not in ("ask", "send", "unsent"):
            detail = {name: value for name, value in event.items() if name not in ("event", "at")}
            rows["events"].append((moment(event["at"]), event["event"], json.dumps(detail)))


def moment(seconds: float) -> int:
    """Seconds since 1970 as a time in UTC, which to a database is a number of microseconds."""
    return round(1e6 * seconds)


def text(value: str) -> str:
    """What a database takes: no lone surrogates, no NUL."""
    if value.isascii() and "\0" not in value:
        return value
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{SYMBOL FOR NULL}")


def _individual(tell: Event, proposal: Event, ask: Event) -> Row:
    genome = text(_JSON(proposal["genome"]))
    kind, digest, size = proposal["genome"]["kind"], proposal["digest"], proposal["size"]
    return (
        *(tell["individual"], tell["tell"], ask["island"], kind, genome, digest, size),
        *(ask["operator"], ask["model"], tell["survived"], text(proposal["thought"])),
        *(tell["evaluation"]["outcome"], moment(tell["at"]), tell.get("generation")),
    )
