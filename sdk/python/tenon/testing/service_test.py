"""The two ways to test a service: a function, and a base of test cases."""

import unittest
from typing import Any, Dict, Optional

from .platform import Platform
from .running import Result


def run(
    service: Any,
    payload: Any = None,
    *,
    rest: Optional[Dict[str, Any]] = None,
    sql: Optional[Dict[str, Any]] = None,
    services: Optional[Dict[str, Any]] = None,
    config: Optional[Dict[str, Any]] = None,
    now: Any = None,
    platform: Optional[Platform] = None,
    **options: Any,
) -> Result:
    """Runs a service and gives what its caller gets.

    `rest`, `sql` and `services` are answers by the names of connections and services; a service may also be a class, which is run then.
    `config` is the user configuration, `now` the time. The other arguments are those of `Platform.run`.
    """
    platform = platform or Platform(now=now)
    for name, answer in (rest or {}).items():
        platform.rest[name].answer(answer)
    for name, answer in (sql or {}).items():
        platform.sql[name].answer(answer)
    for name, answer in (services or {}).items():
        if isinstance(answer, type) and hasattr(answer, "handle"):
            platform.add(answer)
        else:
            platform.services[name].answer(answer)
    platform.config.update(config or {})
    return platform.run(service, payload, **options)


class ServiceTest(unittest.TestCase):
    """A test case with a platform of its own for each test: `self.platform`, and `self.call(service, payload)`."""

    platform: Platform

    def setUp(self) -> None:
        """Makes the platform."""
        super().setUp()
        self.platform = Platform()

    def call(self, service: Any, payload: Any = None, **options: Any) -> Result:
        """Runs a service and gives what its caller gets; the arguments are those of `Platform.run`."""
        return self.platform.run(service, payload, **options)
