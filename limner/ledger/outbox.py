"""Webhooks and their outbox: who is to be told of a batch's end, what they are told, and how far that is.

An event is written in the transaction that it tells of. Who delivers it takes it under a lease, so that one who is
killed loses nothing and two do not send the same at once. Knows nothing of HTTP and of signatures.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, Row, text

# Whoever delivers listens here; what is said is nothing.
CHANNEL = "limner_outbox"

Status = Literal["waiting", "delivered", "dead"]

REMOVED = "its webhook was removed"

# An app's key carries its owner and kind before it, so that two owners' keys are two; the app knows it without.
# Not what the webhook was told last: a batch that is closed again as it stood is no news.
_WRITE = text(f"""
    with told as (
        select w.id as webhook_id, 'batch.' || b.status as event,
               jsonb_build_object(
                 'batch', b.id, 'kind', b.kind, 'title', b.title, 'status', b.status, 'asked', b.asked,
                 'made', n.made, 'reused', n.reused, 'failed', n.failed,
                 'request', (select r.id from runs r where r.batch_id = b.id order by r.started_at limit 1),
                 'idempotency_key', case when starts_with(b.idempotency_key, b.owner || ':')
                     then regexp_replace(substr(b.idempotency_key, length(b.owner) + 2), '^[^:]*:', '')
                     else b.idempotency_key end,
                 'report', nullif(b.report_key, '')) as data
          from batches b join webhooks w on w.owner = b.owner and w.removed_at is null
          cross join lateral (
                 select count(*) filter (where status = 'made') as made,
                        count(*) filter (where status = 'reused') as reused,
                        count(*) filter (where status = 'failed') as failed
                   from jobs where batch_id = b.id) n
         where b.id = :batch
    ), written as (
        insert into outbox (id, webhook_id, batch_id, event, body)
        select 'msg_' || replace(gen_random_uuid()::text, '-', ''), webhook_id, :batch, event,
               jsonb_build_object('type', event, 'timestamp', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                  'data', data)
          from told
         where data is distinct from (
                 select o.body->'data' from outbox o
                  where o.batch_id = :batch and o.webhook_id = told.webhook_id
                  order by o.made_at desc limit 1)
        returning id
    )
    select pg_notify('{CHANNEL}', '') from (select from written limit 1) as any_written
""")  # noqa: S608 - our own words

_ADD = text("insert into webhooks (id, owner, url) values (:id, :owner, :url)")
_LIST = text("""
    select id, owner, url, made_at from webhooks
     where removed_at is null and (cast(:owner as text) is null or owner = :owner) order by made_at, id
""")
_FIND = text("select id, owner, url, made_at from webhooks where id = :id and removed_at is null")
_REMOVE = text("update webhooks set removed_at = now() where id = :id and removed_at is null returning id")
_BURY = text("""
    update outbox set status = 'dead', reason = :reason, settled_at = now()
     where webhook_id = :id and status = 'waiting'
""")

# The number of tries is what whoever took it is known by: who was paused past the lease has no say any more.
_TAKE = text("""
    with due as (
        select id from outbox
         where status = 'waiting' and next_try_at <= clock_timestamp() and webhook_id <> all(:busy)
           and (:again or tries = 0)
         order by next_try_at limit 1 for update skip locked
    )
    update outbox o set tries = tries + 1, next_try_at = clock_timestamp() + make_interval(secs => :lease)
      from due, webhooks w
     where o.id = due.id and w.id = o.webhook_id
    returning o.id, o.webhook_id, o.body, o.tries, w.url, w.removed_at is not null as is_removed
""")
_DELIVERED = text("""
    update outbox set status = 'delivered', reason = null, settled_at = now()
     where id = :id and tries = :tries and status = 'waiting'
""")
_LATER = text("""
    update outbox set reason = :reason, next_try_at = clock_timestamp() + make_interval(secs => :seconds)
     where id = :id and tries = :tries and status = 'waiting'
""")
_DEAD = text("""
    update outbox set status = 'dead', reason = :reason, settled_at = now()
     where id = :id and tries = :tries and status = 'waiting'
""")
_SENT = text("""
    select o.id, w.owner, o.webhook_id as webhook, o.batch_id as batch, o.event, o.status, o.tries, o.made_at,
           case when o.status = 'waiting' then o.next_try_at end as next_try_at, o.settled_at, o.reason
      from outbox o join webhooks w on w.id = o.webhook_id
     where (cast(:owner as text) is null or w.owner = :owner)
       and (cast(:status as text) is null or o.status = :status)
     order by o.made_at desc, o.id limit :most
""")
_AGAIN = text(f"""
    with again as (
        update outbox o set status = 'waiting', tries = 0, next_try_at = now(), reason = null, settled_at = null
          from webhooks w
         where w.id = o.webhook_id and w.removed_at is null
           and (o.id = :id or (cast(:id as text) is null and o.status = 'dead'))
        returning o.id)
    select count(*) as again, pg_notify('{CHANNEL}', '') from again
""")  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that is to be delivered now, by nobody else until its lease ends. tries: this one among them."""

    id: str
    webhook_id: str
    url: str
    body: dict[str, Any]
    tries: int
    is_removed: bool


def write_event(connection: Connection, batch_id: str) -> None:
    """Note that each living webhook of the batch's owner is to be told how the batch stands now.

    The batch's row is locked by whoever changed it, so that of two who close it at once the second sees the first's.
    """
    connection.execute(_WRITE, {"batch": batch_id})


def add(connection: Connection, owner: str, url: str) -> str:
    """Add a webhook and return its id."""
    webhook_id = f"wh_{uuid4().hex}"
    connection.execute(_ADD, {"id": webhook_id, "owner": owner, "url": url})
    return webhook_id


def living(connection: Connection, owner: str | None = None) -> list[Row[Any]]:
    """Return the webhooks of everybody, or of one owner: id, owner, url, made_at."""
    return list(connection.execute(_LIST, {"owner": owner}))


def find(connection: Connection, webhook_id: str) -> Row[Any] | None:
    """Return a living webhook."""
    return connection.execute(_FIND, {"id": webhook_id}).one_or_none()


def remove(connection: Connection, webhook_id: str, reason: str = REMOVED) -> bool:
    """Remove a webhook, and let what it was not told yet die; False where there is none."""
    was_there = connection.execute(_REMOVE, {"id": webhook_id}).one_or_none() is not None
    connection.execute(_BURY, {"id": webhook_id, "reason": reason})
    return was_there


def take(connection: Connection, busy: Collection[str], *, again: bool, lease_seconds: float) -> Taken | None:
    """Take the event that is due longest, of a webhook that is not busy.

    again: also what failed before. One statement.
    """
    row = connection.execute(_TAKE, {"busy": list(busy), "again": again, "lease": lease_seconds}).one_or_none()
    return None if row is None else Taken(**row._mapping)


def delivered(connection: Connection, taken: Taken) -> None:
    connection.execute(_DELIVERED, {"id": taken.id, "tries": taken.tries})


def try_later(connection: Connection, taken: Taken, seconds: float, reason: str) -> None:
    connection.execute(_LATER, {"id": taken.id, "tries": taken.tries, "seconds": seconds, "reason": reason})


def give_up(connection: Connection, taken: Taken, reason: str) -> None:
    connection.execute(_DEAD, {"id": taken.id, "tries": taken.tries, "reason": reason})


def sent(connection: Connection, owner: str | None, status: Status | None, most: int) -> list[Row[Any]]:
    """Return what the outbox holds, the newest first."""
    return list(connection.execute(_SENT, {"owner": owner, "status": status, "most": most}))


def send_again(connection: Connection, message_id: str | None = None) -> int:
    """Have one event of a living webhook delivered anew, or all dead ones; return how many."""
    return int(connection.execute(_AGAIN, {"id": message_id}).one().again)
