"""One call of one provider, from its intent to its end: a recorded picture, or a settled attempt.

    intent -> call -> verify -> judge -> store -> record

Plain Python over a `Room`. Knows nothing of who is asked next or why; the chain decides that from what is raised here.
"""

import logging
import time
from contextlib import AbstractContextManager
from dataclasses import replace

from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from limner.chain import rule_for
from limner.errors import (
    BadImage,
    BatchStopped,
    BucketUnreachable,
    Busy,
    Cancelled,
    DiskFull,
    LeaseLost,
    LedgerUnreachable,
    LimnerError,
    ProviderError,
    Rejected,
    Shut,
    Unfinished,
)
from limner.jobs import Artifact, Image, Verdict, artifact_key, plain
from limner.ledger import attempts, money, quota
from limner.ledger.attempts import Intent, Spent
from limner.ledger.plans import Batch
from limner.limiter import Slot
from limner.providers.seam import Answer, Asked, Provider
from limner.quality.judging import judge
from limner.quality.verifying import examine
from limner.studio import Room

log = logging.getLogger(__name__)

# A service that says it took more than this for one picture is not believed; the estimate then stands.
MAX_COST_USD = 1000.0


def make(room: Room, intent: Intent, job_started: float) -> str:
    """Make one call and bring it to its end; return the sha256 of the recorded picture.

    Raises ProviderError, BadImage or Rejected with the attempt settled (Unfinished: left open, to be polled later),
    OverBudget with nothing asked, LeaseLost when another process holds the order, Unreachable or DiskFull when a
    picture could not be stored.
    """
    with _slot(room, intent) as slot:
        _refuse_if_shut(room, intent)
        _doubt_no_more(room)
        started = time.monotonic()
        room.reach("intent")
        _intend(room, intent)
        try:
            answer = _call(room, intent)
        except Exception as error:
            _free(room, intent, slot, error)
            _end_without_answer(room, intent, error, time.monotonic() - started)
            raise
        # Free for the next call while this answer is looked at.
        slot.good()
        spent = _spent(intent, answer, time.monotonic() - started)
    room.progress(intent.batch.id).answered()
    try:
        return _keep(room, intent, answer, spent, job_started)
    except (LeaseLost, Rejected):
        raise
    except Exception as error:
        _settle(room, intent, error, spent)
        raise


def cap_usd(room: Room, connection: Connection, batch: Batch) -> float | None:
    """Return what the batch's owner may spend in its period, by the tier of today."""
    return room.tier(quota.tier_of(connection, batch.owner) or batch.tier).budget_usd_a_month


def _slot(room: Room, intent: Intent) -> AbstractContextManager[Slot]:
    """Wait for a call of the provider; raises BatchStopped, and Busy or Shut where waiting is no use."""
    return room.limiter.slot(
        intent.provider,
        room.providers[intent.provider].limits,
        _priority(room, intent.batch),
        intent.batch.owner,
        stop=room.progress(intent.batch.id).stop,
        patience_seconds=room.rules.patience.max_busy_seconds,
        is_last_hope=intent.is_last_hope,
    )


def _priority(room: Room, batch: Batch) -> int:
    return room.tier(batch.tier).call_priority(is_interactive=batch.interactive)


def _refuse_if_shut(room: Room, intent: Intent) -> None:
    """Raise Shut for a provider that was found to be of no use to this run while we waited for it.

    Who asks after what it has taken already asks nothing new of it.
    """
    reason = room.progress(intent.batch.id).shut.get(intent.provider)
    if reason is not None and intent.provider_id is None:
        raise Shut(f"{intent.provider}: {reason}.")


def _free(room: Room, intent: Intent, slot: Slot, error: Exception) -> None:
    """Give the slot back, and let everybody know what the answer says of the provider."""
    rule = rule_for(error) if isinstance(error, ProviderError) else None
    if rule is None:
        slot.release()
    elif isinstance(error, Busy):
        slot.busy(error.retry_after_seconds)
    elif rule.is_breakage:
        slot.broken()
    elif rule.shuts_for_the_run:
        # Known before the slot is free, or whoever gets it would ask too.
        room.progress(intent.batch.id).shut[intent.provider] = f"it was {rule.outcome} in this run"
        slot.release()
    else:
        slot.good()


def _intend(room: Room, intent: Intent) -> None:
    if not intent.estimate_usd:
        room.ledger.ask(lambda connection: attempts.intend(connection, intent))
        return
    # The money is bound with the intent, or neither is.
    room.ledger.run(lambda connection: attempts.intend(connection, intent, cap_usd(room, connection, intent.batch)))


def _end_without_answer(room: Room, intent: Intent, error: Exception, seconds: float) -> None:
    """Settle an attempt whose call brought no bytes; raises BatchStopped for one that was stopped with its batch."""
    if isinstance(error, Unfinished):
        # Its picture will come: it stays open, its money bound, and is polled when the order is asked for again.
        room.ledger.ask(lambda connection: attempts.keep_open(connection, intent.id, plain(str(error))))
        return
    # What may have been accepted may have been paid for; an error of no kind of ours says nothing of it.
    paid = error.may_be_paid if isinstance(error, ProviderError) else not isinstance(error, LimnerError)
    _settle(room, intent, error, Spent(seconds, intent.estimate_usd if paid else money.NOTHING))
    if isinstance(error, Cancelled) and room.progress(intent.batch.id).stop.is_set():
        raise BatchStopped(f"{intent.batch.title} was stopped, and {intent.provider} with it.") from error


def _keep(room: Room, intent: Intent, answer: Answer, spent: Spent, job_started: float) -> str:
    order = intent.order
    with room.eyes:
        room.reach("verify")
        examined = examine(answer.data)
        room.reach("judge")
        verdict = judge(examined, order.width, order.height, room.gates[intent.job.job.gate])
        image = examined.image
        del examined  # its pixels
    room.reach("store")
    artifact = _store(room, image)
    room.reach("record")
    if not verdict.accepted:
        room.ledger.run(lambda connection: attempts.keep_rejected(connection, intent, artifact, verdict, spent))
        raise Rejected(_rejection(verdict))
    seconds = time.monotonic() - job_started
    room.ledger.ask(lambda connection: attempts.record(connection, intent, artifact, verdict, spent, seconds))
    return artifact.sha256


def _call(room: Room, intent: Intent) -> Answer:
    provider = room.providers[intent.provider]

    def accepted(provider_id: str) -> None:
        try:
            room.ledger.ask(lambda connection: attempts.accepted(connection, intent.id, plain(provider_id)))
        except (LedgerUnreachable, DiskFull) as error:
            # The picture is under way and paid for: going on may still bring it home.
            log.warning("%s has taken %s as %s. %s", intent.provider, intent.job.job.key, provider_id, error)

    order = intent.order
    asked = Asked(
        order=order,
        prompt=intent.prompt,
        negative_prompt=intent.negative_prompt,
        seed=intent.seed,
        model=intent.model,
        references={one.of: room.bucket.get(_key_of(room, one.of)) for one in (*order.references, *order.controls)},
        provider_id=intent.provider_id,
        accepted=accepted,
        stop=room.progress(intent.batch.id).stop,
        owner=intent.batch.owner,
        priority=_priority(room, intent.batch),
    )
    answer = _in_plain_words(provider, asked)
    room.reach("call")
    return answer


def _in_plain_words(provider: Provider, asked: Asked) -> Answer:
    """Make the call; what it says of itself is a stranger's text, and comes back as one that the ledger takes."""
    try:
        answer = provider.generate(asked)
    except ProviderError as error:
        error.args = tuple(plain(one) if isinstance(one, str) else one for one in error.args)
        raise
    revised = None if answer.revised_prompt is None else plain(answer.revised_prompt)
    return replace(answer, model=plain(answer.model), revised_prompt=revised)


def _key_of(room: Room, sha256: str) -> str:
    key = room.ledger.ask(lambda connection: attempts.artifact_key_of(connection, sha256))
    if key is None:
        raise BadImage(f"The reference {sha256} is in no bucket; make it first.")
    return key


def _spent(intent: Intent, answer: Answer, seconds: float) -> Spent:
    cost = answer.cost_usd
    # Not a number is in no range either.
    believed = cost is not None and 0 <= cost <= MAX_COST_USD
    paid = money.usd(cost or 0) if believed else intent.estimate_usd
    return Spent(seconds, paid, answer.model, answer.revised_prompt)


def _settle(room: Room, intent: Intent, error: Exception, spent: Spent) -> None:
    if isinstance(error, LeaseLost):
        return  # whoever took the order over has settled what we left open
    outcome = rule_for(error).outcome if isinstance(error, ProviderError | BadImage) else "lost"
    reason = plain(str(error)) if isinstance(error, LimnerError) else plain(f"{type(error).__name__}: {error}")
    room.ledger.run(lambda connection: attempts.settle_failed(connection, intent, outcome, reason, spent))


def _store(room: Room, image: Image) -> Artifact:
    """Put the bytes, untouched, under their own sha256. Bytes before row: a stray object is harmless."""
    sha256 = image.sha256  # each look at it hashes the bytes
    key = artifact_key(sha256, image.extension)
    put(room, key, image.data, image.media_type)
    return Artifact(sha256, key, image.media_type, image.width, image.height, len(image.data))


def put(room: Room, key: str, data: bytes, media_type: str) -> None:
    """Store, waiting out a bucket that is away: these bytes were paid for."""
    retrying = Retrying(
        retry=retry_if_exception_type(BucketUnreachable),
        stop=stop_after_delay(room.rules.bucket_patience_seconds),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )
    try:
        retrying(room.bucket.put, key, data, media_type)
    except BucketUnreachable:
        room.bucket_in_doubt.set()
        raise


def _doubt_no_more(room: Room) -> None:
    """Look whether a bucket that was away is back; raises BucketUnreachable or DiskFull before anything is paid for."""
    if room.bucket_in_doubt.is_set():
        room.bucket.check()
        room.bucket_in_doubt.clear()


def _rejection(verdict: Verdict) -> str:
    return f"score {verdict.score} ({verdict.level}): {', '.join(verdict.issues) or 'nothing named'}"
