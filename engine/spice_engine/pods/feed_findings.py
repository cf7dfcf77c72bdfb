"""What is wrong with a pod's live feeds, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spice_engine.pods import plan
from spice_engine.pods.feed_link import FeedStatus
from spice_engine.pods.model import Feed
from spice_engine.protocol.pods import ProblemInfo


def feed_problems(feeds: Iterable[FeedStatus], file: str) -> Iterator[ProblemInfo]:
    """A finding for each feed that fails now."""
    for feed in feeds:
        if feed.state in {"failing", "invalid"}:
            yield ProblemInfo(
                "feed_failing" if feed.state == "failing" else "invalid_feed",
                "warning" if feed.state == "failing" else "error",
                f"{feed.dataspace}: {feed.last_error}",
                file,
                feed.place.line,
                feed.place.column,
                end_line=feed.place.end_line,
                end_column=feed.place.end_column,
            )


def is_live(feed: Feed) -> bool:
    """Whether data come by themselves or are pushed, so that there may be none yet."""
    return feed.connector is None or feed.connector.name not in plan.LOCAL_CONNECTORS
