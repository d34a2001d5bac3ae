"""A stand-in for an app that is told of batches: verifies every message with the library that apps use.

    python -m tests.standins.receiver --calls calls.jsonl

| call | what it answers |
|---|---|
| POST /secrets | {"/one": "whsec_..."}: what the messages to each path are signed with; kept |
| POST /one | 204 when the signature holds, else 401; a "submit", whose words are its path |

Its own event is "heard": path, id and body of a message whose signature held, whatever is answered.
"""

import asyncio
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.standins import serving
from tests.standins.serving import Call, Reply, Service


class Receiver(Service):
    """Knows each path's secret, and nothing of batches."""

    name = "receiver"
    keyed = ()

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._secrets: dict[str, str] = {}

    def kind(self, call: Call) -> str:
        return "other" if call.path == "/secrets" else "submit"

    def words(self, call: Call) -> str:
        # Asked of every call, also of one that a fault will answer.
        self._hear(call)
        return call.path

    async def answer(self, call: Call) -> Reply:
        if call.kind == "other":
            self._secrets |= call.json()
            return Reply(204)
        await asyncio.sleep(self.seconds(call))
        return Reply(204) if self._is_ours(call) else self.error(401)

    def _hear(self, call: Call) -> None:
        if call.kind == "submit" and self._is_ours(call):
            self.note("heard", call.number, path=call.path, id=call.headers["webhook-id"], body=call.json())

    def _is_ours(self, call: Call) -> bool:
        try:
            Webhook(self._secrets.get(call.path, "whsec_bm9uZQ==")).verify(call.body, dict(call.headers))
        except WebhookVerificationError:
            return False
        return True


if __name__ == "__main__":
    serving.main(Receiver, __doc__)
