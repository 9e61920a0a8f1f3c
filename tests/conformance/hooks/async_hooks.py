from tenon import Service


class AsyncHooks(Service):
    name = "conformance.hooks.async_hooks"

    async def before_handle(self):
        self.seen = ["before"]

    async def handle(self):
        self.seen.append("handle")
        return {"seen": self.seen}

    async def after_handle(self):
        self.seen.append("after")
