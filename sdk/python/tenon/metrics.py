"""Metrics of services, which the server exposes among its own."""

import time
from typing import Any, Callable, Dict, Optional

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"


class Timer:
    """Measures a block of code: `with self.metrics.timer('import_seconds'):`. `seconds` is how long it took."""

    def __init__(self, metrics: "Metrics", name: str, labels: Dict[str, Any], clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._name = name
        self._labels = labels
        self._clock = clock
        self._began = 0.0
        self.seconds = 0.0

    def start(self) -> "Timer":
        """Begins to measure."""
        self._began = self._clock()
        return self

    def stop(self) -> float:
        """Ends measuring, and gives the seconds since the start."""
        self.seconds = self._clock() - self._began
        self._metrics.observe(self._name, self.seconds, **self._labels)
        return self.seconds

    def __enter__(self) -> "Timer":
        return self.start()

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    async def __aenter__(self) -> "Timer":
        return self.start()

    async def __aexit__(self, *exception: Any) -> None:
        self.stop()


class Metrics:
    """`self.metrics`. Nothing here waits, or has to be awaited; named arguments are labels."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._timers: Dict[str, Timer] = {}

    def push(self, name: str, value: float, **labels: Any) -> None:
        """Sets a gauge to a value."""
        self._send(GAUGE, name, value, labels)

    set = gauge = push

    def incr(self, name: str, value: float = 1, **labels: Any) -> None:
        """Adds to a counter; a counter only grows."""
        if value < 0:
            raise ValueError(f"the counter '{name}' can't be made smaller; a gauge can: use push")
        self._send(COUNTER, name, value, labels)

    increment = incr

    def observe(self, name: str, value: float, **labels: Any) -> None:
        """Adds an observation, such as a duration in seconds, to a histogram."""
        self._send(HISTOGRAM, name, value, labels)

    def timer(self, name: str, **labels: Any) -> Timer:
        """Measures a block of code in seconds: `with self.metrics.timer('import_seconds'):`."""
        return Timer(self, name, labels, time.monotonic)

    def timer_start(self, name: str, **labels: Any) -> Timer:
        """Begins to measure; `timer_stop` with the same name ends it."""
        timer = self._timers[name] = self.timer(name, **labels).start()
        return timer

    def timer_stop(self, name: str) -> Optional[float]:
        """Ends what `timer_start` began in this call, and gives the seconds since; None if nothing was begun."""
        timer = self._timers.pop(name, None)
        return None if timer is None else timer.stop()

    def _send(self, kind: str, name: str, value: float, labels: Dict[str, Any]) -> None:
        request = self._service.request
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(f"the metric '{name}' can't be {value}")
        request._host.metric(
            {
                "name": str(name),
                "kind": kind,
                "value": number,
                "labels": {label: str(each) for label, each in labels.items()},
                "service": request._entry.name,
            }
        )
