"""Runs services in plain unittest or pytest, without a cluster: `from tenon.testing import run`.

Everything that a service may ask of the platform is there, in memory. Outgoing connections and other services are stubbed by name.
"""

from .clock import Clock
from .platform import Platform
from .running import Result
from .service_test import ServiceTest, run
from .stubs import Answer, RestCall, RestStub, ServiceStub, SqlCall, SqlStub

__all__ = ["Answer", "Clock", "Platform", "RestCall", "RestStub", "Result", "ServiceStub", "ServiceTest", "SqlCall", "SqlStub", "run"]
