"""The room ``messages``: who said what, signed; and signed messages without a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any, List, Tuple, Union, overload

from . import _native
from .errors import KurultaiError
from .types import (
    AgentKey,
    AgentMessage,
    Duration,
    Identity,
    MessageLike,
    MessagePage,
    NewMessage,
    NewMessageFields,
    Receipt,
    ReceiptLike,
    Sent,
    Settled,
    TaskLike,
    UnderLike,
    Unread,
    VerifiedMessage,
)


class Messages:
    """Signed messages between the agents of one team. Open the team with ``identity`` to send, and tell the team its key
    once by ``keys.add``.

    >>> me = kurultai.Identity.generate("temujin")
    >>> async with kurultai.open("memory:", identity=me) as team:
    ...     key = await team.keys.add("temujin", me.public_key)
    ...     sent = await team.messages.send("jochi", "greeting", {"text": "hi"})
    ...     for message in await team.messages.inbox("jochi"):
    ...         print(message.sender, message.type, message.body)
    ...         settled = await team.messages.ack(message)
    temujin greeting {'text': 'hi'}
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Messages) -> None:
        self._native = native

    def _under(self, under: UnderLike | None) -> _native.Messages:
        return self._native if under is None else self._native.under(under)

    async def send(
        self,
        to: str,
        type: str,
        body: Any = None,
        *,
        sender: str | None = None,
        task: TaskLike | None = None,
        reply_to: MessageLike | None = None,
        dedupe_key: str | None = None,
        ttl: Duration | None = None,
        urgent: bool = False,
        under: UnderLike | None = None,
    ) -> Sent:
        """Signs a message with this handle's identity and puts it into its recipient's inbox, with an event
        ``message.received``. ``to``: an agent's id, or ``role:NAME`` for whoever holds the role when it is fetched.
        ``body``: any JSON, about 190 KiB at most.

        ``sender``: which of the handle's identities says it, where it has several. ``task``: what it is about.
        ``reply_to``: the message that it answers. ``dedupe_key``: a second message of this sender and key that says the same
        is not sent, unless the first has expired or failed and nobody has taken it in; 1 to 256 characters. ``ttl``: seconds that it may wait, in whole seconds from 1 on; at most, and where it is None, 5 minutes
        for the types ``agent.*`` and ``control.*``, 24 hours for ``task_*``, else 7 days. ``urgent``: it is delivered
        before those that are not. ``under``: a role that is held (``agents.lead``); the message is sent only where it still
        is, which the store checks in the same transaction: ``role.stale_term`` otherwise.

        Errors: ``input.invalid``, ``input.payload``; ``config.identity`` where the handle has no identity of the sender;
        ``key.unknown``, ``key.revoked``, ``key.expired`` where the team does not know the key or no more;
        ``message.conflict`` where the dedupe key is that of a message of this sender with another recipient, type or body;
        ``limit.inbox`` (retry) where 10,000 messages wait for the recipient. After ``store.outcome_unknown`` repeat it with a dedupe key.
        Cancel safe: a cancelled call may still have sent it.

        >>> sent = await k.messages.send("jochi", "greeting", {"text": "hi"}, dedupe_key="hi-1")
        >>> sent.recipient, sent.deduplicated
        ('unknown', False)
        >>> (await k.messages.send("jochi", "greeting", {"text": "hi"}, dedupe_key="hi-1")).deduplicated
        True
        """
        return await self._under(under).send(
            {
                "to": to,
                "type": type,
                "body": body,
                "sender": sender,
                "task": task,
                "reply_to": reply_to,
                "dedupe_key": dedupe_key,
                "ttl": ttl,
                "urgent": urgent,
            }
        )

    async def send_many(
        self, messages: Iterable[Union[NewMessage, NewMessageFields]], *, under: UnderLike | None = None
    ) -> List[Sent]:
        """Sends many, all in one transaction or none. ``under`` and errors as ``send``, which name the row, counted from 0.

        >>> sent = await k.messages.send_many(
        ...     [kurultai.NewMessage("jochi", "greeting", "hi"), {"to": "kublai", "type": "greeting"}]
        ... )
        >>> len(sent)
        2
        """
        return await self._under(under).send_many(messages)

    async def accept(self, token: str, *, to: str | None = None) -> Sent:
        """Admits a message that came from outside, once: verifies it and puts it into its recipient's inbox. What is refused
        is counted in the store, by who it claims to be from, why, and the minute.

        A text that begins with ``{`` is a legacy envelope. It is verified with a key that the team keeps
        (``keys.import_rows``), stored as it was received, and verified again at each fetch; it waits as long as a token of
        its type may, counted from its timestamp. Its recipient is the one that ``to`` or else ``delegate`` names, in any
        spelling that folds to an agent's id; an envelope that names nobody, or several, needs the argument ``to``, by which a
        token and an envelope must be for this one. ``type`` is its type (``message`` where it has none), ``task_id`` its
        task, and the whole of it the body.

        Errors: ``sig.missing``, ``sig.malformed``, ``sig.algorithm`` (also where the team was opened with ``min_version=2``
        and this is an envelope), ``sig.mismatch``, ``sig.expired``, ``sig.from_future``, ``sig.wrong_namespace``,
        ``sig.wrong_audience``, ``sig.replayed``; ``key.unknown``, ``key.revoked``, ``key.expired``; ``limit.inbox`` (retry);
        of an envelope also ``key.weak``, ``key.unwrap``, ``config.wrapping_key`` where the team was opened without the
        wrapping key, and ``input.invalid`` where nobody says for whom it is. Cancel safe: a cancelled call may still have
        admitted it, and a repetition is ``sig.replayed``.

        >>> jochi = await k.keys.rotate("jochi")
        >>> token = kurultai.sign({"pr": 42}, jochi, audience="temujin", type="review")
        >>> sent = await k.messages.accept(token)
        >>> [message.body for message in await k.messages.inbox()]
        [{'pr': 42}]
        """
        return await self._native.accept(token, to)

    async def inbox(
        self,
        agent: str | None = None,
        *,
        max: int = 10,
        types: Iterable[str] | None = None,
        wait: Duration = 0,
        visible: Duration = 60,
    ) -> List[AgentMessage]:
        """Messages for an agent, or for this handle's identity, and for the roles that it holds at this moment: urgent ones first, then the oldest. Nobody else is given
        them for ``visible`` seconds; whoever has them acknowledges or rejects each within that time, else it is delivered
        again, five times in all. What is no longer signed by a good key, or was delivered too often, leaves the inbox as
        ``failed``, with an event ``message.failed`` for its sender. Where there is none it waits up to ``wait`` seconds and
        returns as soon as one comes; an empty list is no error.

        ``max``: 1 to 1,000; there are fewer where they have 16 MiB. ``types``: only these. ``visible``: 0.1 seconds to a day.

        Errors: ``input.invalid``; ``config.identity`` where neither the call nor the handle says for whom. Cancel safe: what
        a cancelled call was given is visible again when its time is over.

        >>> sent = await k.messages.send("jochi", "greeting", {"text": "hi"})
        >>> [message] = await k.messages.inbox("jochi", wait=5)
        >>> message.body, message.delivery, message.verified.agent
        ({'text': 'hi'}, 1, 'temujin')
        """
        return await self._native.inbox(
            {"agent": agent, "max": max, "types": types, "wait": wait, "visible": visible}
        )

    # A text is iterable too, and comes first.
    @overload
    async def ack(self, messages: ReceiptLike) -> Settled: ...  # type: ignore[overload-overlap]
    @overload
    async def ack(self, messages: Iterable[ReceiptLike]) -> List[Union[Settled, KurultaiError]]: ...
    async def ack(
        self, messages: Union[ReceiptLike, Iterable[ReceiptLike]]
    ) -> Union[Settled, List[Union[Settled, KurultaiError]]]:
        """Says that a message was taken in, or many of them in one transaction: then each has its own answer, a refused one
        its error as a value. A repetition has the same answer, marked ``repeated``. Takes messages, their receipts, or
        ``str(receipt)``.

        Errors: ``lease.lost`` where it was given to somebody else meanwhile or has left the inbox, ``message.not_found``.
        Cancel safe: a cancelled call may still have acknowledged.

        >>> sent = await k.messages.send_many([{"to": "jochi", "type": "a"}, {"to": "jochi", "type": "b"}])
        >>> first, second = await k.messages.inbox("jochi")
        >>> (await k.messages.ack(first)).status
        'acknowledged'
        >>> [(one.status, one.repeated) for one in await k.messages.ack([first, second.receipt])]
        [('acknowledged', True), ('acknowledged', False)]
        """
        if not isinstance(messages, (AgentMessage, Receipt, str)) and isinstance(messages, Iterable):
            return await self._native.ack(list(messages))
        [settled] = await self._native.ack([messages])
        if isinstance(settled, KurultaiError):
            raise settled
        return settled

    async def reject(self, message: ReceiptLike, reason: str) -> Settled:
        """Refuses a message for good: it is ``failed``, and its sender hears of it by the event ``message.failed``.
        ``reason``: 1 to 1,000 characters. Errors: as ``ack`` of one, ``input.invalid``.

        >>> sent = await k.messages.send("jochi", "greeting")
        >>> [message] = await k.messages.inbox("jochi")
        >>> (await k.messages.reject(message, "not mine")).status
        'failed'
        """
        return await self._native.reject(message, reason)

    async def retry(self, message: ReceiptLike, *, after: Duration = 0) -> Settled:
        """Gives a message back, to be delivered again after so many seconds; it counts as delivered. Errors: as ``ack`` of
        one, ``input.invalid``.

        >>> sent = await k.messages.send("jochi", "greeting")
        >>> [message] = await k.messages.inbox("jochi")
        >>> (await k.messages.retry(message)).status
        'pending'
        >>> [again] = await k.messages.inbox("jochi")
        >>> again.delivery
        2
        """
        return await self._native.retry(message, after)

    async def unread(self, agent: str | None = None) -> Unread:
        """How many messages wait for an agent, or for this handle's identity: those that nobody has acknowledged. Errors:
        ``input.invalid``, ``config.identity``. Cancel safe.

        >>> sent = await k.messages.send("jochi", "alarm", urgent=True)
        >>> await k.messages.unread("jochi")
        Unread(count=1, urgent=1)
        """
        return await self._native.unread(agent)

    async def thread(self, id: MessageLike) -> List[AgentMessage]:
        """What was said in an exchange, in the order in which it came: the first 1,000 messages, or those that have 16 MiB.
        ``id``: the message that it began with, which each of them has as ``thread``. Errors: ``input.invalid``. Cancel safe.

        >>> question = await k.messages.send("jochi", "question", "who?")
        >>> answer = await k.messages.send("jochi", "more", "and why?", reply_to=question)
        >>> [message.body for message in await k.messages.thread(question)]
        ['who?', 'and why?']
        """
        return await self._native.thread(id)

    async def list(
        self,
        *,
        to: str | None = None,
        from_: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> MessagePage:
        """Messages in about the order in which they were sent, however they stand, a page at a time: to an agent or
        ``role:NAME``, from an agent, or all. Those whose signature no longer holds are left out. ``limit``: 1 to 1,000;
        a page ends early where it has 16 MiB. ``cursor``: ``next`` of the page before. Errors: ``input.invalid``, also for both ``to`` and ``from_``. Cancel safe.

        >>> sent = await k.messages.send("jochi", "greeting")
        >>> [(message.type, message.status) for message in await k.messages.list(from_="temujin")]
        [('greeting', 'pending')]
        """
        return await self._native.list({"to": to, "from": from_, "limit": limit, "cursor": cursor})

    async def ask(
        self,
        to: str,
        type: str,
        body: Any = None,
        *,
        timeout: Duration = 30,
        sender: str | None = None,
        task: TaskLike | None = None,
        reply_to: MessageLike | None = None,
        dedupe_key: str | None = None,
        ttl: Duration | None = None,
        urgent: bool = False,
    ) -> AgentMessage:
        """Sends a message and waits up to ``timeout`` seconds for the answer to it, which it acknowledges: a message that is
        signed as an answer to this one (``reply_to``) by the agent that was asked, or, where a role was asked, by the agent
        that was last given the message. What others answer stays in the inbox. The other parameters are those of ``send``.

        Errors: as ``send``; ``message.no_reply`` where none comes in time (a retry waits for nothing that was sent before:
        give a dedupe key). Cancel safe: the message may be sent, and its answer is in the inbox.

        >>> async def answer():
        ...     [question] = await k.messages.inbox("temujin", types=["question"], wait=5)
        ...     await k.messages.ack(question)
        ...     await k.messages.send(question.sender, "answer", 42, reply_to=question)
        >>> answering = asyncio.create_task(answer())
        >>> (await k.messages.ask("temujin", "question", timeout=5)).body
        42
        """
        message: NewMessageFields = {
            "to": to,
            "type": type,
            "body": body,
            "sender": sender,
            "task": task,
            "reply_to": reply_to,
            "dedupe_key": dedupe_key,
            "ttl": ttl,
            "urgent": urgent,
        }
        return await self._native.ask(message, timeout)


def sign(
    body: Any,
    identity: Identity,
    *,
    audience: str,
    type: str,
    namespace: str = "default",
    task: TaskLike | None = None,
    reply_to: MessageLike | None = None,
    ttl: Duration | None = None,
    id: str | None = None,
    issued_at: datetime | None = None,
    default: Callable[[Any], Any] | None = None,
) -> str:
    """A signed message without any store: a JWS in compact form, EdDSA, which ``verify`` and ``messages.accept`` take.

    ``audience``: an agent's id, or ``role:NAME``. ``namespace``: the team. ``task``, ``reply_to``, ``ttl``: as
    ``messages.send``. ``id``: a UUIDv7, under which it is admitted once; a new one where it is None. ``issued_at``: now, by
    this machine's clock, where it is None. ``default`` is asked for what JSON has no form for.

    Errors: ``input.invalid``; ``input.payload`` where the body is no JSON, or makes a token longer than 256 KiB.

    >>> me = kurultai.Identity.generate("temujin")
    >>> token = kurultai.sign({"pr": 42}, me, audience="jochi", type="review")
    >>> token.count(".")
    2
    """
    return _native.token_sign(
        body,
        identity,
        issued_at or datetime.now(timezone.utc),
        {
            "audience": audience,
            "type": type,
            "namespace": namespace,
            "task": task,
            "reply_to": reply_to,
            "ttl": ttl,
            "id": id,
            "default": default,
        },
    )


def verify(
    token: str,
    keys: Iterable[Union[AgentKey, Tuple[str, str]]],
    *,
    audience: Union[str, Iterable[str], None],
    namespace: str = "default",
    at: datetime | None = None,
) -> VerifiedMessage:
    """Whether a message is what it says it is: in its form, by its signature over the text as it came, and for us. Whether
    it was presented before is for ``messages.accept`` to say.

    ``keys``: what ``keys.list`` answers, or pairs of an agent and its public key. ``audience``: who we are, an agent's id
    and ``role:NAME`` for each role; None only for whoever passes messages on, and takes those for anybody. ``namespace``:
    the team. ``at``: now, by this machine's clock, where it is None.

    Errors, in the order in which they are looked for: ``sig.missing``; ``sig.malformed`` (size, parts, base64url, header);
    ``sig.algorithm``; ``key.unknown``, ``key.revoked``, ``key.expired``; ``sig.algorithm`` of the key; ``sig.mismatch``;
    then of what it says ``sig.malformed``, ``sig.wrong_namespace``, ``sig.wrong_audience``, ``sig.from_future`` (60
    seconds), ``sig.expired``, ``sig.malformed``. Of a pair also ``input.invalid`` and ``key.weak``.

    >>> me = kurultai.Identity.generate("temujin")
    >>> token = kurultai.sign({"pr": 42}, me, audience="jochi", type="review")
    >>> message = kurultai.verify(token, [("temujin", me.public_key)], audience="jochi")
    >>> message.sender, message.type, message.body
    ('temujin', 'review', {'pr': 42})
    >>> try:
    ...     kurultai.verify(token, [("temujin", me.public_key)], audience="ogedei")
    ... except kurultai.errors.DeniedError as error:
    ...     print(error.code)
    sig.wrong_audience
    """
    audiences = [audience] if isinstance(audience, str) else list(audience or ())
    if audience is not None and not audiences:
        raise ValueError("audience is empty; allowed: an agent's id, a list of them, or None for anybody")
    return _native.token_verify(token, list(keys), namespace, audiences, at or datetime.now(timezone.utc))
