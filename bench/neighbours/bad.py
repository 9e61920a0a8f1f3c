import os

from tenon import Service

KEPT = []


class Stuck(Service):
    name = "bench.stuck"

    def handle(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


class Leaking(Service):
    name = "bench.leaking"

    def handle(self):
        KEPT.append(b"x" * (8 << 20))


class Crashing(Service):
    name = "bench.crashing"

    def handle(self):
        os._exit(1)
