"""The contract of a source: it hands out whole lines, says where it stands, and can go back there."""

from abc import ABC, abstractmethod
from typing import Any

from forecast.errors import InputError
from forecast.watch.readings import Chunk


class Source(ABC):
    """Lines with a position. Positions are plain values; the loop commits them with the states that the lines led to."""

    name: str  # under which its position is kept

    @abstractmethod
    def open(self, position: Any) -> list[str]:
        """Stand where `position` says, None: at the start; answers what a person should know about that."""

    @abstractmethod
    def poll(self, seconds: float) -> Chunk | None:
        """The next lines; None if there are none within so many seconds."""

    def part(self, bucket: int, buckets: int) -> bool:
        """Hand out one bucket alone, before `open`: True; False where all lines come, and the reader picks its own."""
        raise InputError(f"{self.name}: one process per subscription; buckets=N is for source=file and source=kafka")

    def acknowledge(self, position: Any) -> None:  # noqa: B027 - most sources have nobody to tell
        """All lines before `position` are committed."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Let go."""
