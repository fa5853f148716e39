"""Counters, gauges and histograms, and the text in which a scraper reads them.

A scrape must not hold up the streams beside it. So every series keeps the line that it was last shown as, and makes
it anew only once it has moved; and the text is handed out in pieces, between which others have their turn.
"""

import bisect
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

Label: TypeAlias = tuple[str, ...] | str
"""The values of a label: all of them, or what they are, where they are bounded by something that is known only later."""
Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary"]

PIECE = 500
"""Series that are shown in one go."""


class Sample(NamedTuple):
    """One line. suffix: what is added to the family's name."""

    suffix: str
    labels: Mapping[str, str]
    value: float


class _Series:
    """One family at one set of label values. Any thread may move it."""

    __slots__ = ("_labels", "_lock", "_name", "_text")

    def __init__(self, name: str, labels: Mapping[str, str], lock: threading.Lock) -> None:
        self._name = name
        self._labels = labels
        self._lock = lock
        self._text = ""

    def text(self) -> str:
        """Its lines."""
        raise NotImplementedError

    def samples(self) -> list[Sample]:
        """What its lines say."""
        raise NotImplementedError

    def _head(self, suffix: str = "", **more: str) -> str:
        pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in {**self._labels, **more}.items())
        return f"{self._name}{suffix}{{{pairs}}} " if pairs else f"{self._name}{suffix} "


class Counter(_Series):
    """Only grows."""

    __slots__ = ("_prefix", "_shown", "_value")

    def __init__(self, name: str, labels: Mapping[str, str], lock: threading.Lock) -> None:
        super().__init__(name, labels, lock)
        self._prefix = self._head()
        self._value: float = 0
        self._shown: float | None = None

    def inc(self, amount: float = 1) -> None:
        if amount < 0:
            raise ValueError("a counter only grows")
        with self._lock:
            self._value += amount

    def text(self) -> str:
        value = self._value
        if value != self._shown:
            self._shown, self._text = value, f"{self._prefix}{_number(value)}\n"
        return self._text

    def samples(self) -> list[Sample]:
        return [Sample("", self._labels, self._value)]


class Gauge(Counter):
    """Goes up and down."""

    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        with self._lock:
            self._value += amount

    def dec(self, amount: float = 1) -> None:
        self.inc(-amount)

    def set(self, value: float) -> None:
        self._value = value + 0  # a yes is a 1


class Summary(_Series):
    """How many there were, and their sum."""

    __slots__ = ("_count", "_heads", "_shown", "_sum")

    def __init__(self, name: str, labels: Mapping[str, str], lock: threading.Lock) -> None:
        super().__init__(name, labels, lock)
        self._heads = self._head("_count"), self._head("_sum")
        self._count, self._sum = 0, 0.0
        self._shown = -1

    def observe(self, value: float) -> None:
        with self._lock:
            self._count += 1
            self._sum += value

    def text(self) -> str:
        with self._lock:
            count, total = self._count, self._sum
        if count != self._shown:
            counted, summed = self._heads
            self._shown, self._text = count, f"{counted}{count}\n{summed}{_number(total)}\n"
        return self._text

    def samples(self) -> list[Sample]:
        with self._lock:
            return [Sample("_count", self._labels, self._count), Sample("_sum", self._labels, self._sum)]


class Histogram(_Series):
    """How many there were up to each of some bounds, and their sum."""

    __slots__ = ("_bounds", "_counts", "_heads", "_seen", "_shown", "_sum")

    def __init__(
        self, name: str, labels: Mapping[str, str], lock: threading.Lock, bounds: Sequence[float] = ()
    ) -> None:
        super().__init__(name, labels, lock)
        self._bounds = tuple(bounds)
        self._heads = [
            *(self._head("_bucket", le=le) for le in (*map(_bound, self._bounds), "+Inf")),
            self._head("_count"),
            self._head("_sum"),
        ]
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._seen = 0
        self._shown = -1

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value
            self._seen += 1

    def text(self) -> str:
        with self._lock:
            seen = self._seen
            if seen == self._shown:
                return self._text
            values: list[float] = [*itertools.accumulate(self._counts), seen, self._sum]
        lines = (f"{head}{_number(value)}\n" for head, value in zip(self._heads, values, strict=True))
        self._shown, self._text = seen, "".join(lines)
        return self._text

    def samples(self) -> list[Sample]:
        with self._lock:
            counts, total = list(itertools.accumulate(self._counts)), self._sum
        bounds = (*map(_bound, self._bounds), "+Inf")
        found = [
            Sample("_bucket", {**self._labels, "le": le}, count)
            for le, count in zip(bounds, counts, strict=True)
        ]
        return [*found, Sample("_count", self._labels, counts[-1]), Sample("_sum", self._labels, total)]


S = TypeVar("S", bound=_Series)
Make: TypeAlias = Callable[[str, Mapping[str, str], threading.Lock], S]


class Family(Generic[S]):
    """All series of one name. `labels` gives the one at these values, in the order of `sets`.

    sets: each label's values. Where all of them are known beforehand the series are there from the start, so that a rate
    over a counter does not miss its first step. Others come with their first move.
    """

    def __init__(self, kind: Kind, name: str, help: str, sets: Mapping[str, Label], make: Make[S]) -> None:
        self.kind = kind
        self.name = name
        self.help = help
        self.sets = sets
        self._make = make
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], S] = {}
        self._header = f"# HELP {name} {_escaped_help(help)}\n# TYPE {name} {kind}\n"
        known = [values for values in sets.values() if not isinstance(values, str)]
        if len(known) == len(sets):
            for values in itertools.product(*known):
                self.labels(*values)

    def labels(self, *values: str) -> S:
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self.sets):
                raise ValueError(f"{self.name} has the labels {', '.join(self.sets) or 'none'}")
            values = tuple(str(value) for value in values)
            series = self._make(self.name, dict(zip(self.sets, values, strict=True)), self._lock)
            found = self._series.setdefault(values, series)
        return found

    def drop(self, label: str, gone: Collection[str]) -> None:
        """Forget the series whose label has one of these values."""
        if label in self.sets:
            place = list(self.sets).index(label)
            for values in [values for values in list(self._series) if values[place] in gone]:
                self._series.pop(values, None)

    def clear(self) -> None:
        self._series.clear()

    def pieces(self) -> Iterator[str]:
        """Its text; a series is never torn apart."""
        series = list(self._series.values())
        yield self._header + "".join([one.text() for one in series[:PIECE]])
        for start in range(PIECE, len(series), PIECE):
            yield "".join([one.text() for one in series[start : start + PIECE]])

    def samples(self) -> Iterator[Sample]:
        for one in list(self._series.values()):
            yield from one.samples()


class Families:
    """Makes families, and has them all in `all`, in their order."""

    def __init__(self) -> None:
        self.all: list[Family[Counter] | Family[Gauge] | Family[Summary] | Family[Histogram]] = []

    def counter(self, name: str, help: str, **sets: Label) -> Family[Counter]:
        family = Family("counter", name, help, sets, Counter)
        self.all.append(family)
        return family

    def gauge(self, name: str, help: str, **sets: Label) -> Family[Gauge]:
        family = Family("gauge", name, help, sets, Gauge)
        self.all.append(family)
        return family

    def summary(self, name: str, help: str, **sets: Label) -> Family[Summary]:
        family = Family("summary", name, help, sets, Summary)
        self.all.append(family)
        return family

    def histogram(self, name: str, help: str, bounds: Sequence[float], **sets: Label) -> Family[Histogram]:
        def make(name: str, labels: Mapping[str, str], lock: threading.Lock) -> Histogram:
            return Histogram(name, labels, lock, bounds)

        family = Family("histogram", name, help, sets, make)
        self.all.append(family)
        return family


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if value != value else repr(value)


def _bound(value: float) -> str:
    return repr(float(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
