"""How long the machine has held a loop up: what judges a time from above allows for that, and is as strict as ever where nothing did."""

from __future__ import annotations

import asyncio
from typing import Self

STEP_S = 0.005


class Late:
    """`s`: by how much the loop came later than it was to, at most so far."""

    def __init__(self) -> None:
        self.s = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._feel())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _feel(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + STEP_S
            await asyncio.sleep(STEP_S)
            self.s = max(self.s, loop.time() - due)
