"""The error tree: one meaning each, raised in one place, and each says the next step.

LimnerError
├── RefusedRequest          nothing was made; the caller can mend it            exit 2
│   ├── BadBook             missing, empty, binary, or no such chapter
│   ├── BadInput            a file or a field that is not what it should be
│   ├── UnknownProvider
│   ├── NothingToMake       no description reaches the minimum priority
│   └── QuotaUsedUp         the owner's pictures or money for this period are spent
├── Unreachable             database, bucket or Prefect API is away: safe to repeat             exit 2
│   ├── LedgerUnreachable
│   └── BucketUnreachable
├── DiskFull                the bucket, or the home folder, has no room left               exit 2
├── BadImage                bytes that are no picture (also raised for what a provider sent)
├── Rejected                the quality gate said no to a readable picture
├── OverBudget              the money left does not cover this call; a cheaper provider may
├── LeaseLost               our claim's token is stale: step back, another process went on
├── BatchShort              the batch ended with failed jobs; its report names them   exit 1
├── BatchBroken             work had begun and could not go on; what was made is kept          exit 1
├── BooksDisagree           the ledger's sums are not what its rows say
├── BatchStopped            somebody stopped the batch; what is missing can be made later
└── ProviderError           what a provider can answer instead of a picture
    ├── Busy                throttled or overloaded, before acceptance; has retry_after_seconds
    │   └── Shut            only breaks of late, so that our own breaker leaves it alone for a while
    ├── Refused             policy: never asked again at the same provider
    ├── Invalid             the provider cannot take this order as it stands
    ├── Unauthorised        no key, or a wrong one
    ├── OutOfCredit         the account is empty
    ├── Broken              the provider failed, and said so
    ├── Cancelled           the provider confirmed that it stopped, because we asked it to
    └── UnknownOutcome      the connection broke after the order may have been accepted
        └── Unfinished      accepted under an id and not done in time: polled later, never asked for again
"""


class LimnerError(Exception):
    """Whatever Limner raises on purpose; its text is one sentence that says what to do."""


class RefusedRequest(LimnerError):
    """Nothing was made, nothing was spent; the caller can mend the request."""


class BadBook(RefusedRequest):
    pass


class BadInput(RefusedRequest):
    pass


class UnknownProvider(RefusedRequest):
    pass


class NothingToMake(RefusedRequest):
    pass


class QuotaUsedUp(RefusedRequest):
    pass


class Unreachable(LimnerError):
    """Something that Limner stands on is away for now; repeating is safe."""


class LedgerUnreachable(Unreachable):
    pass


class BucketUnreachable(Unreachable):
    pass


class DiskFull(LimnerError):
    pass


class BadImage(LimnerError):
    """Bytes that are no complete picture within the limits."""


class Rejected(LimnerError):
    """A readable picture that its quality gate did not accept; the message lists the issues."""


class OverBudget(LimnerError):
    """What is left of the owner's or the batch's money does not cover this call."""


class LeaseLost(LimnerError):
    """The claim's token is stale: another process holds the order now."""


class BatchShort(LimnerError):
    """A batch ended without all of its pictures; the message names each failed key and why.

    `report` is the bucket key of the batch's report.
    """

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report


class BatchBroken(LimnerError):
    """Work had begun and could not go on: the disk, the ledger or the bucket; what was made is kept."""


class BooksDisagree(LimnerError):
    """The audit found figures that should be one; the message names them."""


class BatchStopped(LimnerError):
    """The batch was stopped between two calls; nothing is lost."""


class ProviderError(LimnerError):
    """What a provider can answer instead of a picture.

    may_be_paid: the service may charge for it all the same, so that the estimate counts as spent.
    """

    def __init__(self, message: str, *, may_be_paid: bool = False) -> None:
        super().__init__(message)
        self.may_be_paid = may_be_paid


class Busy(ProviderError):
    """Throttled or overloaded, provably before acceptance.

    `retry_after_seconds` is what the provider asked for, or None where it did not say.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Shut(Busy):
    """Not asked at all: the provider only broke of late, and is left alone for `retry_after_seconds`."""


class Refused(ProviderError):
    """The provider's policy said no; `categories` are its own words for why."""

    def __init__(self, message: str, categories: tuple[str, ...] = (), *, may_be_paid: bool = False) -> None:
        super().__init__(message, may_be_paid=may_be_paid)
        self.categories = categories


class Invalid(ProviderError):
    pass


class Unauthorised(ProviderError):
    pass


class OutOfCredit(ProviderError):
    pass


class Broken(ProviderError):
    pass


class Cancelled(ProviderError):
    pass


class UnknownOutcome(ProviderError):
    def __init__(self, message: str) -> None:
        super().__init__(message, may_be_paid=True)


class Unfinished(UnknownOutcome):
    pass
