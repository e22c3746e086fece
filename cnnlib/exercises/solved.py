"""Which exercises are solved in this kernel."""

import html

from cnnlib.exercises.verdict import LOOKS, card

_states = {}  # (chapter, name) -> "not started", "wrong" or "correct", in the order of the book
_SIGNS = {"correct": "✓", "wrong": "✗", "not started": "·"}
_WORDS = {"correct": "solved", "wrong": "tried", "not started": "not started yet"}


def register(chapter, name):
    """Make an exercise known, not started yet; one that is known keeps its state."""
    _states.setdefault((chapter, name), "not started")


def record(chapter, name, status):
    """Remember the best verdict so far: what is solved stays solved, what was tried stays tried."""
    order = list(_SIGNS)
    best = min(_states[chapter, name], status, key=order.index)
    _states[chapter, name] = best


def forget():
    """Begin again: nothing is started."""
    for key in _states:
        _states[key] = "not started"


def progress(chapter=None):
    """Tell which exercises of a chapter, such as "7.4", or of all are solved in this kernel.

    Returns a `Progress`; ValueError if the chapter has no exercises with a checker.
    """
    chapters = sorted({key[0] for key in _states})
    if chapter is not None and chapter not in chapters:
        raise ValueError(f"no exercises in chapter {chapter!r}; there are some in {chapters}")
    wanted = chapters if chapter is None else [chapter]
    return Progress({key: state for key, state in _states.items() if key[0] in wanted})


class Progress:
    """The `states` of exercises, (chapter, name) to one of the above, as text and as a card."""

    def __init__(self, states):
        self.states = dict(sorted(states.items(), key=lambda item: item[0][0]))

    @property
    def solved(self):
        """How many are solved."""
        return sum(state == "correct" for state in self.states.values())

    def _headline(self):
        chapters = sorted({chapter for chapter, _ in self.states})
        where = f"Chapter {chapters[0]}" if len(chapters) == 1 else "All chapters"
        return f"{where}: {self.solved} of {len(self.states)} exercises solved"

    def __repr__(self):
        lines = [
            f"  {_SIGNS[state]} {chapter} {name}: {_WORDS[state]}"
            for (chapter, name), state in self.states.items()
        ]
        return "\n".join([self._headline(), *lines])

    def _repr_html_(self):
        rows = "".join(
            f'<div style="color: {LOOKS[state][2]}">{_SIGNS[state]} {html.escape(chapter)} '
            f"{html.escape(name)}: {_WORDS[state]}</div>"
            for (chapter, name), state in self.states.items()
        )
        done = "correct" if self.solved == len(self.states) else "not started"
        title = f'<div style="font-weight: 600">{html.escape(self._headline())}</div>'
        return card(LOOKS[done][1], title + rows)
