import asyncio

from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.in_an_async_service"

    async def handle(self):
        one, two = await asyncio.gather(self.invoke("conformance.invoke.doubles", {"n": 1}), self.invoke("conformance.invoke.doubles", n=2))
        await self.cache.default.set("conformance.async", {"n": 5}, 60)
        async with self.lock("conformance.async") as lock:
            has_token = lock.token > 0
        return {
            "both": [one, two],
            "cached": await self.cache.default["conformance.async"],
            "locked": has_token,
            "secret": await self.crypto.decrypt(await self.crypto.encrypt("s3cret")),
            "retried": await self.patterns.invoke_retry.invoke("conformance.invoke.doubles", n=4),
            "command": (await self.commands.invoke("echo hello")).stdout,
        }


class Doubles(Service):
    name = "conformance.invoke.doubles"

    async def handle(self):
        return self.request.payload["n"] * 2
