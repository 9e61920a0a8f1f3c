import asyncio

from tenon import Service


class AsyncHandle(Service):
    name = "conformance.service.async_handle"
    input = "name"

    async def handle(self):
        await asyncio.sleep(0)
        one, two = await asyncio.gather(
            self.invoke("conformance.service.part", {"number": 1}),
            self.invoke("conformance.service.part", {"number": 2}),
        )
        self.response.payload = {"name": self.request.input.name, "sum": one["number"] + two["number"]}


class Part(Service):
    name = "conformance.service.part"

    def handle(self):
        self.response.payload = {"number": self.request.payload["number"] * 10}
