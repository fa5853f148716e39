"""The goals of the logo's removal, all but those of time, on a small set of pictures."""

from benchmarks import watermark_goals as goals
from benchmarks import watermark_samples as samples


def test_every_goal_is_met() -> None:
    """One picture of every second kind of content; `python -m benchmarks.watermark_goals` measures on many of all."""
    negatives = [*samples.negatives(range(70, 71))][::7]
    rows = goals.table(goals.contents(range(70, 71))[::2], negatives)
    assert len(rows) >= 14
    assert [row for row in rows if row.met is False] == []
