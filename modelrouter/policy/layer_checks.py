"""What a layer may not say below another: it can tighten, never widen or redefine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelrouter.policy.document import Policy, Task
from modelrouter.policy.findings import Findings, Path
from modelrouter.policy.labelling import Labels
from modelrouter.policy.layering import Part, Stack
from modelrouter.policy.matchers import RequestMatcher, StringMatch
from modelrouter.policy.shapes import is_list, is_mapping
from modelrouter.policy.vocabulary import scheme_of

__all__ = ["check_below"]

STANDARD = Labels.model_validate({"=": True})
FLAGS = (("unknown_quality", "ignore"), ("compare_quality", "score"))
"""Defaults with a strict value and a loose one, and which is loose."""


def check_below(above: Stack, part: Part, findings: Findings) -> None:
    """Note everything in `part` that the layers above it do not leave to it."""
    layer = Below(above=above, part=part, findings=findings)
    layer.check_ids()
    layer.check_names()
    layer.check_tasks()
    layer.check_models()
    layer.check_labels()
    layer.check_defaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The check of one layer against those above it."""

    above: Stack
    part: Part
    findings: Findings

    def note(
        self, path: Path, code: str, message: str, *, upper: str, hint: str, key: bool = True
    ) -> None:
        """Note a problem of the lower layer that names the line above it too."""
        self.findings.add(self.part.source, path, code, f"{message} ({upper})", hint=hint, key=key)

    def check_ids(self) -> None:
        """Decisions name clauses by id, so no two layers may use one."""
        for section in ("rules", "budgets", "objectives", "runtime", "invariants"):
            taken = {entry.id for entry in getattr(self.above.policy, section)}
            for place, entry in enumerate(getattr(self.part.policy, section)):
                if entry.id in taken:
                    self.note(
                        (section, place, "id"),
                        "MR131",
                        f"id `{entry.id}` stands in `{section}` of a layer above too",
                        upper=self.above.place_of_id(section, entry.id),
                        hint="give it another id; what stands above holds in any case",
                        key=False,
                    )

    def check_names(self) -> None:
        """Facts and sets belong to the highest layer that declares them."""
        for name, fact in self.part.policy.facts.items():
            known = self.above.policy.facts.get(name)
            if known is not None and known != fact:
                self.redeclared(("facts", name), f"fact `{name}`")
        for source, sets in self.part.documents_with_sets():
            for name, matcher in sets.items():
                known_set = self.above.sets.get(name)
                if known_set is not None and known_set != matcher:
                    upper = self.above.place_of_set(name)
                    message = f"set `{name}` is declared differently by a layer above ({upper})"
                    hint = "leave it out, or give yours another name"
                    self.findings.add(source, ("sets", name), "MR132", message, hint=hint, key=True)

    def redeclared(self, path: Path, what: str) -> None:
        """Note a name that the layers above declare otherwise."""
        self.note(
            path,
            "MR132",
            f"{what} is declared differently by a layer above",
            upper=self.above.place_of(path),
            hint="leave it out: what is declared above holds here too",
        )

    def check_tasks(self) -> None:
        """A task may be added if nothing above is escaped by it."""
        known = self.above.words.tasks
        declared = self.above.policy.tasks or {}
        for name, task in (self.part.policy.tasks or {}).items():
            if name in known:
                if task != declared.get(name, Task()):
                    self.redeclared(self.task_path(name), f"task `{name}`")
            else:
                self.check_new_task(name, task, self.task_path(name))
        if self.part.policy.tasks is None and self.above.policy.tasks is None:
            quality = {name for entry in self.part.models for name in entry.quality}
            path: Path = ("models",) if self.part.policy.models else ("catalogs",)
            for name in sorted(quality - known - {"*"}):
                self.check_new_task(name, Task(), path)

    def task_path(self, name: str) -> Path:
        """Return where a task stands; the section may be a list."""
        tasks = self.part.policy.tasks or {}
        data = self.part.source.data
        listed = is_mapping(data) and is_list(data.get("tasks"))
        return ("tasks", list(tasks).index(name)) if listed else ("tasks", name)

    def check_new_task(self, name: str, task: Task, path: Path) -> None:
        """Refuse a task that would escape what holds above for any task nobody foresaw."""
        for kind, section, clause in escaped(name, self.above.policy, self.above.words.tasks):
            self.note(
                path,
                "MR137",
                f"task `{name}` would escape {kind} `{clause}` of a layer above",
                upper=self.above.place_of_id(section, clause),
                hint="use a task declared above, or let that rule speak of it by a `prefix`",
            )
        self.check_carried(name, task, path)

    def check_carried(self, name: str, task: Task, path: Path) -> None:
        """Refuse a task that carries less than `other`; in a closed list, less than every task."""
        above = self.above.policy.tasks or {}
        held = {"other": above["other"]} if "other" in above else above
        own = self.implied(task)
        lacking = {upper: self.implied(held[upper]) - own for upper in held}
        if not held or not all(lacking.values()):
            return
        upper = min(lacking, key=lambda each: (len(lacking[each]), each))
        missing = min(lacking[upper].intersection(held[upper].carries))
        self.note(
            path,
            "MR137",
            f"task `{name}` would not carry `{missing}`, as `{upper}` does above",
            upper=self.above.place_of(("tasks", upper)),
            hint=f"give it `carries: [{', '.join(sorted(held[upper].carries))}]`",
        )

    def implied(self, task: Task) -> frozenset[str]:
        """Return what a task carries with everything that implies."""
        scheme = scheme_of(self.above.policy.labels)
        return scheme.implied(frozenset(task.carries) & scheme.categories.keys())

    def check_models(self) -> None:
        """Whoever adds a model adds a recipient."""
        if not self.above.models:
            return
        for key in ("models", "catalogs"):
            if getattr(self.part.policy, key):
                first = "models" if self.above.policy.models else "catalogs"
                self.note(
                    (key,),
                    "MR133",
                    f"`{key}` would widen: a layer above says which models there are",
                    upper=self.above.place_of((first,)),
                    hint="leave it out, or add the models above; to use fewer, forbid the others",
                )

    def check_labels(self) -> None:
        """Labels belong to the top layer: even a higher one can escape a rule for a low level."""
        labels, known = self.part.policy.labels, self.above.policy.labels or STANDARD
        if labels is None or labels == known:
            return
        if labels.model_copy(update={"unlabelled": known.unlabelled}) != known:
            self.redeclared(("labels",), "`labels`")
            return
        rank = self.strictness()
        if rank.get(labels.unlabelled, 0) < rank.get(known.unlabelled, 0):
            self.widened(("labels", "unlabelled"), known.unlabelled, labels.unlabelled)
        else:
            self.redeclared(("labels", "unlabelled"), "`unlabelled`")

    def strictness(self) -> dict[str, int]:
        """Return how strict each stand-in for a label is."""
        scheme = scheme_of(self.above.policy.labels)
        highest = len(scheme.levels)
        return {**scheme.rank, "declared": -1, "top": highest, "detected": highest}

    def check_defaults(self) -> None:
        """What holds where no rule speaks may become stricter only."""
        own, known = self.part.policy.defaults, self.above.policy.defaults
        for key, loose in FLAGS:
            stated = key in own.model_fields_set and getattr(own, key) == loose
            if stated and getattr(known, key) != loose:
                self.widened(("defaults", key), getattr(known, key), loose)
        rank = scheme_of(self.above.policy.labels).rank
        level = own.default_deny_from
        gate = next(each for each in reversed(self.above.gates) if each is not None)
        if level is not None and rank.get(level, 0) > rank.get(gate, 0):
            self.widened(("defaults", "default_deny_from"), gate, level)
        strict = self.strictness()
        for kind, setting in self.part.policy.classifiers.unscannable.items():
            upper = self.above.policy.classifiers.unscannable.get(kind, "top")
            path: Path = ("classifiers", "unscannable", kind)
            if strict.get(setting, 0) < strict.get(upper, 0):
                self.widened(path, upper, setting)
            elif setting != upper:
                self.redeclared(path, f"`unscannable` of `{kind}`")

    def widened(self, path: Path, upper: str, lower: str) -> None:
        """Note a setting that is looser than above."""
        self.note(
            path,
            "MR134",
            f"`{path[-1]}: {lower}` would widen `{upper}` of a layer above",
            upper=self.above.place_of(path),
            hint="leave it out: a layer can only tighten those above it",
        )


def escaped(name: str, policy: Policy, tasks: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Yield effect, section and id of what speaks of tasks above and would not hold for `name`.

    A call for a task that nobody foresaw is as one for `other`. Where the layers above have no
    `other`, their list of tasks is closed, and whatever speaks of any of them counts.
    """
    clauses: list[tuple[str, str, str, RequestMatcher | None]] = [
        (rule.effect, "rules", rule.id, rule.when)
        for rule in policy.rules
        if rule.effect != "permit" and rule.strength != "advisory"
    ]
    clauses += [("budget", "budgets", budget.id, budget.when) for budget in policy.budgets]
    for kind, section, clause, when in clauses:
        match = None if when is None else when.task
        if match is None or covers(match, name):
            continue
        if "other" not in tasks or covers(match, "other"):
            yield kind, section, clause


def covers(match: StringMatch, name: str) -> bool:
    """Whether a condition on the task holds for `name`."""
    listed = match.equals is None or name in match.equals
    return listed and (match.prefix is None or name.startswith(match.prefix))
