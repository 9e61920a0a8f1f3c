import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from zato.server.service import Service


class Threads(Service):
    name = "conformance.service.threads"

    def handle(self):
        with ThreadPoolExecutor(max_workers=3) as pool:
            pooled = list(pool.map(lambda number: self.invoke("conformance.service.doubles", {"number": number}), range(3)))

        found = []
        thread = Thread(target=lambda: found.append(self.invoke("conformance.service.doubles", number=7)))
        thread.start()
        thread.join()

        async def double(number):
            await asyncio.sleep(0.01)
            return self.invoke("conformance.service.doubles", number=number)

        async def both():
            return await asyncio.gather(double(1), double(2))

        self.response.payload = {"pooled": pooled, "thread": found, "asyncio": asyncio.run(both())}


class Doubles(Service):
    name = "conformance.service.doubles"

    def handle(self):
        self.response.payload = 2 * self.request.payload["number"]
