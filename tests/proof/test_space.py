"""The algebra of boxes is that of sets of points, and only closed labels exist."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrouter.engine.truth import number_match, string_match
from modelrouter.labels import Category, Label, LabelScheme
from modelrouter.policy.matchers import NumberMatch, StringMatch
from modelrouter.proof.coherence import NO, UNKNOWN, YES, Coherence
from modelrouter.proof.fields import Atom, Field, number_atoms, starts_of, text_atoms
from modelrouter.proof.space import FieldTable, Space, TooHardError

LEVELS = ("low", "mid", "high")
NAMES = ("a", "b", "c")
TASKS = ("plain", "carrying")
Values = tuple[int, ...]


def scheme_of(edges: Sequence[tuple[str, str]], at_least: Sequence[str]) -> LabelScheme:
    return LabelScheme(
        levels=LEVELS,
        categories={
            name: Category(
                at_least=level, includes=frozenset(after for first, after in edges if first == name)
            )
            for name, level in zip(NAMES, at_least, strict=True)
        },
    )


def space_of(scheme: LabelScheme, carried: frozenset[str]) -> Space:
    """Return the space of level, three categories, two tasks and one fact of two values."""
    table = FieldTable()
    level = table.add("level", [Atom(value=name, text=name) for name in LEVELS])
    # The edges of the strategies point from earlier to later names.
    categories = {
        name: table.add(
            f"category:{name}", [Atom(value=value, text=str(value)) for value in (NO, UNKNOWN, YES)]
        )
        for name in NAMES
    }
    task = table.add("task", [Atom(value=name, text=name) for name in TASKS])
    fact = table.add("fact:f", [Atom(value=value, text=value) for value in ("x", "y")])
    fields: tuple[Field, ...] = (level, *categories.values(), task)
    return Space(
        table,
        Coherence(
            scheme=scheme,
            level=level,
            categories=categories,
            task=task,
            carried=[(1, frozenset()), (2, carried)],
            others=[fact],
            relevant=sum(part.mask for part in fields),
        ),
    )


def exists(values: Values, scheme: LabelScheme, carried: frozenset[str]) -> bool:
    """Whether a point is a request that can be made, by closing its label."""
    level, *certain, task, _ = values
    known = frozenset(name for name, value in zip(NAMES, certain, strict=True) if value == YES)
    unknown = frozenset(
        name for name, value in zip(NAMES, certain, strict=True) if value == UNKNOWN
    )
    if task and not carried <= known:
        return False
    label = Label(level=LEVELS[level], categories=known, unknown=unknown)
    closed = scheme.close(label)
    return (closed.level, closed.categories, closed.unknown) == (label.level, known, unknown)


def points(box: int, space: Space) -> Iterator[Values]:
    chosen = [
        [place for place in range(len(part.atoms)) if part.bits(box) >> place & 1]
        for part in space.table.fields
    ]
    yield from itertools.product(*chosen)


def existing(
    boxes: Sequence[int], space: Space, scheme: LabelScheme, carried: frozenset[str]
) -> set[Values]:
    return {
        point for box in boxes for point in points(box, space) if exists(point, scheme, carried)
    }


EDGES = [("a", "b"), ("a", "c"), ("b", "c")]
schemes = st.builds(
    scheme_of,
    st.lists(st.sampled_from(EDGES), unique=True),
    st.tuples(*[st.sampled_from(LEVELS)] * 3),
)
carriers = st.frozensets(st.sampled_from(NAMES))


@st.composite
def boxes(draw: st.DrawFn, space: Space, *, most: int = 4) -> list[int]:
    found: list[int] = []
    for _ in range(draw(st.integers(0, most))):
        box = 0
        for part in space.table.fields:
            full = (1 << len(part.atoms)) - 1
            # Mostly full, as the conditions of rules are; now and then empty.
            box |= draw(st.sampled_from([full, full, *range(full)])) << part.offset
        found.append(box)
    return found


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_regions_are_sets_of_the_requests_that_can_be_made(data: st.DataObject) -> None:
    scheme, carried = data.draw(schemes), data.draw(carriers)
    space = space_of(scheme, carried)
    left, right = data.draw(boxes(space)), data.draw(boxes(space))
    left_points = existing(left, space, scheme, carried)
    right_points = existing(right, space, scheme, carried)
    assert existing(space.meet(left, right), space, scheme, carried) == left_points & right_points
    assert existing(space.less(left, right), space, scheme, carried) == left_points - right_points
    assert existing(space.join(left, right), space, scheme, carried) == left_points | right_points
    assert space.holds(left) == bool(left_points)
    assert space.covers(left, right) == (right_points <= left_points)
    found = space.leftover(left, right)
    assert (found is None) == (not left_points - right_points)
    if found is not None:
        rest = existing([found], space, scheme, carried)
        assert rest
        assert rest <= left_points - right_points


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_the_example_of_a_box_is_a_request_that_can_be_made(data: st.DataObject) -> None:
    scheme, carried = data.draw(schemes), data.draw(carriers)
    space = space_of(scheme, carried)
    for box in data.draw(boxes(space)):
        assert space.possible(box) == bool(existing([box], space, scheme, carried))
        if space.possible(box):
            values = space.point(box).values
            places = tuple(
                [atom.value for atom in part.atoms].index(values[part.name])
                for part in space.table.fields
            )
            assert places in existing([box], space, scheme, carried)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_what_is_left_of_disjoint_boxes_is_disjoint(data: st.DataObject) -> None:
    space = space_of(scheme_of([], LEVELS[:1] * 3), frozenset())
    taken = data.draw(boxes(space))
    left = space.less(space.all, taken)
    for one, other in itertools.combinations(left, 2):
        assert not space.filled(one & other)


@given(
    st.lists(
        st.builds(lambda part: StringMatch(prefix=part), st.text("ox", min_size=1, max_size=3))
    ),
    st.lists(st.text("ox", min_size=1, max_size=4)),
)
def test_the_atoms_of_a_text_agree_with_every_text(
    prefixes: list[StringMatch], names: list[str]
) -> None:
    matches = [*prefixes, *(StringMatch.model_validate({"=": [name]}) for name in names)]
    atoms = [str(atom.value) for atom in text_atoms(matches)]
    kinds = {tuple(string_match(match, value) for match in matches) for value in atoms}
    assert len(kinds) == len(atoms) or not matches
    for length in range(6):
        for letters in itertools.product("oxz", repeat=length):
            value = "".join(letters)
            assert tuple(string_match(match, value) for match in matches) in kinds


@given(
    st.lists(
        st.one_of(
            st.builds(lambda low: NumberMatch(at_least=low), st.integers(-4, 8)),
            st.builds(lambda low: NumberMatch(above=low), st.decimals(-4, 8, places=1)),
            st.builds(lambda high: NumberMatch(at_most=high), st.decimals(-4, 8, places=1)),
            st.builds(lambda high: NumberMatch(below=high), st.decimals(-4, 8, places=1)),
            st.builds(
                lambda value: NumberMatch.model_validate({"=": [value]}),
                st.decimals(-4, 8, places=1),
            ),
        ),
        max_size=5,
    ),
    st.sampled_from([None, 0]),
)
def test_the_atoms_of_a_number_agree_with_every_number(
    matches: list[NumberMatch], lowest: int | None
) -> None:
    atoms = number_atoms([start for match in matches for start in starts_of(match)], lowest=lowest)
    for atom in atoms:
        assert atom.span is not None
        assert isinstance(atom.value, int)
        first, last = atom.span
        low = -20 if first is None else first
        high = 20 if last is None else last
        for value in range(low, high + 1):
            assert [number_match(match, value) for match in matches] == [
                number_match(match, atom.value) for match in matches
            ]


def test_a_question_that_grows_too_large_is_given_up() -> None:
    table = FieldTable()
    level = table.add("level", [Atom(value="low", text="low")])
    task = table.add("task", [Atom(value="t", text="t")])
    pairs = [
        table.add(f"fact:{number}", [Atom(value=value, text=value) for value in "abcd"])
        for number in range(32)
    ]
    scheme = LabelScheme(levels=("low",), categories={})
    coherence = Coherence(
        scheme=scheme,
        level=level,
        categories={},
        task=task,
        carried=[(1, frozenset())],
        others=pairs,
        relevant=level.mask | task.mask,
    )
    space = Space(table, coherence)
    # Sixteen pairs of fields that must be equal: what is left cannot be said in few boxes.
    differing = [
        space.only(one.name, 1 << place) & space.only(other.name, 15 & ~(1 << place))
        for one, other in zip(pairs[::2], pairs[1::2], strict=True)
        for place in range(4)
    ]
    with pytest.raises(TooHardError):
        space.less(space.all, differing)
