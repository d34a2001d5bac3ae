"""What a gateway can answer instead of what was asked for.

LimnerClientError
├── Refused             the request as it stands: mend it; `fields` says where
│   ├── Unauthorised    the token is unknown, revoked, or not the owner's
│   ├── NotFound        no such request, or no such picture any more
│   └── KeyTaken        this idempotency key was used for another request
├── Unavailable         away, overloaded or broken, after trying again: the same call may be made later
└── StillRunning        the time given to `wait` is over; the request goes on
"""


class LimnerClientError(Exception):
    """Whatever the client raises on purpose; its text is one sentence."""


class Refused(LimnerClientError):
    """The gateway will not do it; `fields` says of each field what is wrong with it."""

    def __init__(self, sentence: str, status: int, fields: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.fields = fields or {}


class Unauthorised(Refused):
    pass


class NotFound(Refused):
    pass


class KeyTaken(Refused):
    pass


class Unavailable(LimnerClientError):
    pass


class StillRunning(LimnerClientError):
    pass
