"""The anomaly maps of one scan, each made when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import RLock

from anomri.scan import AnomalyMap


class AnomalyMaps(Mapping[str, AnomalyMap]):
    """Anomaly maps by name.

    Args:
        makers: functions that make the maps; each is called at most once.
    """

    def __init__(self, makers: Mapping[str, Callable[[], AnomalyMap]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, AnomalyMap] = {}
        self._lock = RLock()

    @property
    def made(self) -> tuple[str, ...]:
        """Names of the maps that exist by now."""
        return tuple(self._made)

    def __getitem__(self, name: str) -> AnomalyMap:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers  # the inherited method would make the map

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
