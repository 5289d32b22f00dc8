"""
The Rust half of pymta, as Python sees it: bytes, grammar, order and disk.

This stub is the contract of the seam (ARCHITECTURE.md): nothing here blocks for long, calls back into Python, owns a
socket or reads a clock. Instants are milliseconds since 1970 UTC and always arguments.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self, final

# ---- errors --------------------------------------------------------------------------------------------------------

class SpoolError(Exception):
    """The spool's own trouble; `.temporary` is True where a later try may succeed, `.full` where there is no room."""

    temporary: bool
    full: bool

class OrderError(Exception):
    """A bug of ours: a method of a session was called in a state that does not allow it."""

class DamagedIndexError(OSError):
    """An account's index is damaged, and was set aside: whoever opens the account anew gets a new one."""

# ---- nouns (pymta-types) -------------------------------------------------------------------------------------------

@final
class Address:
    """`local-part@domain`, kept as written; ValueError where it is none (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

    def __new__(cls, text: str) -> Self: ...
    @property
    def local_part(self) -> str: ...
    @property
    def domain(self) -> str:
        """As written; empty for a bare `postmaster`."""
    @property
    def canonical(self) -> str:
        """With the domain in lower case, for comparison."""
    @property
    def canonical_domain(self) -> str: ...
    @property
    def is_literal(self) -> bool: ...
    @property
    def is_ascii(self) -> bool: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Reply:
    """Code, enhanced status and text (RFC 5321 §4.2); ValueError for a code outside 200-599 or a contradicting status."""

    def __new__(cls, code: int, enhanced: str | None, text: str) -> Self: ...
    @property
    def code(self) -> int: ...
    @property
    def enhanced(self) -> str | None: ...
    @property
    def text(self) -> str: ...
    @property
    def is_positive(self) -> bool: ...
    @property
    def is_temporary(self) -> bool: ...
    @property
    def is_permanent(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Recipient:
    """
    A forward-path with its DSN parameters (RFC 3461 §4.1, §4.2).

    *notify* is "NEVER" or a comma-separated set of SUCCESS, FAILURE, DELAY; *original* is "rfc822;user@example.org".
    """

    def __new__(
        cls, forward_path: Address | str, *, notify: str | None = None, original: str | None = None
    ) -> Self: ...
    @property
    def forward_path(self) -> Address: ...
    @property
    def notify(self) -> str | None: ...
    @property
    def original(self) -> str | None: ...
    @property
    def wants_failure(self) -> bool: ...
    @property
    def wants_delay(self) -> bool: ...
    @property
    def wants_success(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...

@final
class Envelope:
    """Reverse-path (None is the null one), recipients and parameters (RFC 5321 §2.3.1). Values are set at once: a change makes a new one."""

    def __new__(
        cls,
        reverse_path: Address | str | None,
        recipients: Sequence[Recipient | Address | str],
        *,
        body: Literal["7BIT", "8BITMIME", "BINARYMIME"] = "7BIT",
        smtputf8: bool = False,
        ret: Literal["FULL", "HDRS"] | None = None,
        envid: str | None = None,
    ) -> Self: ...
    @property
    def reverse_path(self) -> Address | None: ...
    @property
    def reverse_path_text(self) -> str:
        """As text, empty for the null one: for a log line, without an Address in between."""
    def forward_path_text(self, index: int) -> str: ...
    @property
    def recipients(self) -> list[Recipient]: ...
    @property
    def recipient_count(self) -> int: ...
    @property
    def body(self) -> Literal["7BIT", "8BITMIME", "BINARYMIME"]: ...
    @property
    def smtputf8(self) -> bool: ...
    @property
    def needs_smtputf8(self) -> bool: ...
    @property
    def ret(self) -> Literal["FULL", "HDRS"] | None: ...
    @property
    def envid(self) -> str | None: ...
    @property
    def wants_success(self) -> bool:
        """Whether any recipient asks for a DSN of success (NOTIFY=SUCCESS)."""
    def without_success(self) -> Envelope:
        """With no recipient asking for a DSN of success; who asked for nothing else asks for NEVER."""
    def recipient(self, index: int) -> Recipient: ...
    def with_recipients(self, recipients: Sequence[Recipient | Address | str]) -> Envelope: ...
    def with_reverse_path(self, reverse_path: Address | str | None) -> Envelope: ...
    def __eq__(self, other: object, /) -> bool: ...

# ---- SMTP, server side (pymta-smtp::server) ------------------------------------------------------------------------

@final
class ServerSettings:
    """What a listener allows and announces; built once a listener, shared by its sessions."""

    def __new__(
        cls,
        *,
        hostname: str,
        lmtp: bool = False,
        starttls: bool = False,
        auth_mechanisms: Sequence[str] = ...,
        auth_without_tls: bool = False,
        xclient: bool = False,
        line_endings: Literal["refuse", "normalise"] = "refuse",
        limits: dict[str, int] | None = None,
    ) -> Self:
        """*limits* may name any field of `pymta_smtp::server::Limits`; ValueError for another name."""

@final
class HelloEvent:
    verb: Literal["HELO", "EHLO", "LHLO"]
    name: str

@final
class StartTlsEvent: ...

@final
class AuthEvent:
    mechanism: str
    initial_response: bytes | None

@final
class AuthResponseEvent:
    """The decoded answer to a challenge; None where the client cancelled (already answered 501)."""

    response: bytes | None

@final
class XclientEvent:
    attributes: dict[str, str]

@final
class MailEvent:
    reverse_path: Address | None
    size_octets: int | None
    body: Literal["7BIT", "8BITMIME", "BINARYMIME"]
    smtputf8: bool

@final
class RcptEvent:
    recipient: Recipient
    accepted_count: int

@final
class DataEvent:
    """DATA, or the first BDAT, with at least one recipient accepted: asks where the content shall go."""

@final
class MessageEvent:
    """All content is in the writer that `accept_content` was given."""

    writer: ContentWriter | bytearray | None
    """What `accept_content` was given."""
    envelope: Envelope
    size_octets: int

@final
class ViolationEvent:
    """
    The peer broke grammar, order or a limit; it has been answered already. For the log and the metrics.

    *kind* is one of the closed list in `pymta_smtp::server::ViolationKind`, such as "syntax" or "order".
    """

    kind: str
    reply: Reply

@final
class QuitEvent: ...

ServerEvent = (
    HelloEvent
    | StartTlsEvent
    | AuthEvent
    | AuthResponseEvent
    | XclientEvent
    | MailEvent
    | RcptEvent
    | DataEvent
    | MessageEvent
    | ViolationEvent
    | QuitEvent
)

@final
class ServerSession:
    """
    One SMTP session as a value: octets in, events out; decisions in, octets out.

    Every event but ViolationEvent, QuitEvent and a cancelled AuthResponseEvent asks: until `accept`, `refuse` or the
    stage's own answer is called, `next_event` returns None and what arrives is only kept (`buffered_octets`).
    """

    def __new__(cls, settings: ServerSettings, *, secure: bool = False) -> Self: ...
    def greet(self) -> None:
        """Answer the connection with 220. To refuse it, `refuse(Reply(554 or 421 …))`."""
    def receive(self, chunk: bytes) -> None: ...
    def next_event(self) -> ServerEvent | None: ...
    def output(self) -> bytes:
        """What is to be sent now, all replies of a pipelined group joined; empty where there is nothing."""
    def accept(self) -> None:
        """The stage's standard positive reply (250, 220 to STARTTLS, 235 to AUTH, 221 …)."""
    def refuse(self, reply: Reply) -> None:
        """The stage's negative reply; a 421 also ends the session."""
    def accept_content(self, writer: ContentWriter | bytearray | None) -> None:
        """
        To DataEvent: 354 (or, for BDAT, take the chunk) and stream the content into *writer*.

        A ContentWriter is used up by it: the one of the MessageEvent has the content. A bytearray (tests) is extended;
        None (a sink) counts the octets and keeps none. MessageEvent.writer is then that bytearray or None.
        """
    def accept_message(self, text: str, refused: Sequence[tuple[int, Reply]] = ...) -> None:
        """
        To MessageEvent, after its commit returned: `250 2.0.0 text`. In LMTP some recipients may hear something else:
        *refused* has their places in the envelope of the event (RFC 2033 §4.2).
        """
    def challenge(self, text: bytes) -> None:
        """To AuthEvent or AuthResponseEvent: 334 with *text* in base64."""
    def tls_started(self) -> None:
        """The handshake that `accept` to StartTlsEvent announced is over: all earlier state and input is forgotten (RFC 3207 §4.2)."""
    def shut_down(self, reply: Reply) -> None:
        """End the session from our side (time over, stopping): *reply* goes out when the protocol allows it; then `closing`."""
    @property
    def standing(self) -> int:
        """What a driver asks after each chunk, in one crossing: bits of closing (1), waiting_for_decision (2), receiving_content (4)."""
    @property
    def closing(self) -> bool:
        """True when, after `output()` is sent, the connection is to be closed."""
    @property
    def receiving_content(self) -> bool: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def waiting_for_decision(self) -> bool: ...
    @property
    def buffered_octets(self) -> int: ...
    @property
    def pending_octets(self) -> int:
        """Octets of the content being received that wait for the disk: read no more while it is large."""
    @property
    def envelope(self) -> Envelope:
        """The transaction so far."""
    @property
    def hello_name(self) -> str: ...
    @property
    def is_extended(self) -> bool:
        """EHLO (or LHLO), not HELO: for the `with` clause of the trace field (RFC 3848)."""
    @property
    def command_count(self) -> int: ...
    @property
    def violation_count(self) -> int: ...

def parse_proxy(buffer: bytes) -> tuple[tuple[str, int] | None, int] | None:
    """
    The PROXY protocol header (v1 or v2) that *buffer* begins with: (address and port of the client, octets of the
    header). The address is None where the connection's own holds (LOCAL, UNKNOWN). None where more must arrive;
    ValueError where it is no header or malformed. At most 536 octets are ever asked for.
    """

# ---- the spool (pymta-spool) ---------------------------------------------------------------------------------------

@final
class ContentWriter:
    """Takes the content of one message: small ones stay in memory until commit, large ones stream to disk. Opaque."""

@final
class IncomingMessage:
    """A message between end of data and commit: what policy sees and may change (its header section only)."""

    def __new__(cls, writer: ContentWriter, envelope: Envelope) -> Self: ...
    @staticmethod
    def from_content(spool: Spool, envelope: Envelope, content: bytes) -> IncomingMessage:
        """A message that the server itself makes (an Injection); *content* has CRLF lines."""
    @staticmethod
    def from_message(
        spool: Spool, envelope: Envelope, message: QueuedMessage, fields: Sequence[tuple[str, str]] = ...
    ) -> IncomingMessage:
        """
        A message that is in a spool once more, for other recipients, with *fields* on top. OSError where it cannot be
        read. Takes as long as the message is large: not on the loop's thread for a large one.
        """
    envelope: Envelope
    @property
    def size_octets(self) -> int: ...
    @property
    def received_hops(self) -> int: ...
    @property
    def header_field_count(self) -> int: ...
    @property
    def violation(self) -> str | None:
        """Why the header section is refused ("header section too large", "too many header fields"), or None."""
    def field(self, name: str) -> bytes | None:
        """The first field of that name, unfolded, without the name; None where there is none."""
    def fields(self, name: str) -> list[bytes]: ...
    def header_fields(self) -> list[tuple[bytes, bytes]]: ...
    def header_section(self) -> bytes: ...
    def prepend_field(self, name: str, value: str) -> None:
        """Put a field on top (trace fields); ValueError where name or value would break the header section."""
    def add_field(self, name: str, value: str) -> None: ...
    def replace_field(self, name: str, value: str) -> int: ...
    def remove_field(self, name: str) -> int: ...
    @property
    def id(self) -> str | None:
        """The spool id that it will have; None before `stamp`, which reserves it."""
    def stamp(
        self,
        *,
        hello_name: str,
        peer_address: str,
        hostname: str,
        extended: bool,
        tls: str | None,
        authenticated: bool,
        now_ms: int,
        lmtp: bool = False,
    ) -> None:
        """Put our Received field on top (RFC 5321 §4.4, RFC 3848); what the peer said of itself is made harmless."""
    def parts(self) -> list[Part]: ...
    def part_content(self, part: Part, octets_max: int) -> bytes: ...
    def content(self, octets_max: int) -> bytes: ...
    def commit(self, now_ms: int, *, due_ms: int | None, annotations: bytes = ...) -> int:
        """Hand it to the committer; *due_ms* None means hold. Returns the token that `Spool.completions` answers."""
    def discard(self) -> None: ...

@final
class Part:
    """One MIME part (RFC 2045): where it is and what it says it is."""

    content_type: str
    filename: str | None
    """The name that most readers show."""
    filenames: list[str]
    """Every name that some reader could show (`filename`, then `name`, decoded): a check for names looks at all of them."""
    disposition: str | None
    depth: int
    size_octets: int

@final
class QueuedMessage:
    """A spooled message in hand: envelope, the status of each recipient, and its content on demand."""

    @property
    def id(self) -> str: ...
    @property
    def envelope(self) -> Envelope: ...
    @property
    def size_octets(self) -> int: ...
    @property
    def spooled_at_ms(self) -> int: ...
    def forward_path_text(self, index: int) -> str:
        """Of one recipient, as text: for a log line."""
    @property
    def attempts(self) -> int:
        """Rounds of delivery so far that ended with something deferred."""
    @property
    def annotations(self) -> bytes: ...
    @property
    def pending(self) -> list[int]:
        """Indexes of the recipients that still have to be tried."""
    @property
    def wants_success(self) -> bool:
        """Whether any recipient asked for a DSN of success (NOTIFY=SUCCESS): said once, so that nobody loops over them."""
    def by_domain(self) -> list[tuple[str, list[int]]]:
        """The pending recipients by canonical domain, in order of first appearance."""
    def status(self, index: int) -> tuple[str, str]:
        """(state, last reply) of a recipient: pending (never tried), deferred, delayed, delivered, failed, expired or dropped."""
    def header_section(self) -> bytes: ...
    def fields(self, name: str) -> list[bytes]:
        """The fields of that name, from the top, unfolded, without the name."""
    def content(self, octets_max: int, *, offset: int = 0) -> bytes:
        """At most *octets_max* octets of the content from *offset* on; empty at its end."""

RecipientState = Literal["delivered", "deferred", "delayed", "failed", "expired", "dropped"]
"""What `record` and `settle` take; "deferred" and "delayed" (deferred, and its delay was reported) stay pending."""

@final
class Spool:
    """The durable queue of one folder: segment log, index and schedule. One process at a time (a lock is held)."""

    def __new__(
        cls,
        folder: str,
        *,
        now_ms: int,
        segment_octets: int | None = None,
        spill_octets: int | None = None,
        memory_octets_max: int | None = None,
        free_octets_min: int | None = None,
        pending_octets_max: int | None = None,
        header_octets_max: int | None = None,
        header_fields_max: int | None = None,
        shard: int = 0,
    ) -> Self:
        """
        SpoolError where the folder is in use, unwritable or of a later format.

        *shard* (0 to 1023) is part of every id: spools that work at the same time need different ones.
        """
    @property
    def recovery(self) -> dict[str, int]:
        """What the start found: messages, records, segments, damaged_records, torn_octets."""
    @property
    def wake_fd(self) -> int:
        """An eventfd that becomes readable when `completions` or `loaded` have something. `drain_wake` resets it."""
    def drain_wake(self) -> None: ...
    def writer(self) -> ContentWriter: ...
    def admission(self, now_ms: int) -> Literal["ok", "full", "slow", "broken"]:
        """Whether new mail may be accepted now: "full" → 452 4.3.1, "slow" and "broken" → 451 4.3.0."""
    def gather(self) -> None:
        """Commits wait for `write_gathered` from now on, so that those of one turn of the loop share one sync."""
    def write_gathered(self) -> None:
        """Begin to write what was gathered. Without `gather` the writer begins by itself."""
    def give_up(self, token: int) -> bool:
        """
        Refuse a message whose commit takes too long: when it ends, with an error, the message is not in the spool.

        False where it has ended meanwhile: `completions` says how.
        """
    def completions(self) -> list[tuple[int, str | SpoolError]]:
        """The commits that ended since the last call, as (token, spool id or error)."""
    def take_due(self, now_ms: int, count_max: int, active_per_group_max: int) -> list[QueuedMessage]:
        """
        Take what is due, fairly between groups (canonical domain of the first pending recipient).

        Those in memory are returned; the others are read by the reader thread and come by `loaded`. A taken message
        is active until `settle`.
        """
    def loaded(self) -> list[QueuedMessage]: ...
    @property
    def loading_count(self) -> int:
        """Messages that `take_due` sent for and that `loaded` did not return yet."""
    def troubles(self) -> list[str]:
        """What a person should know about the disk, a line each, since the last call."""
    def record(self, spool_id: str, outcomes: Sequence[tuple[int, RecipientState, str]]) -> None:
        """Note outcomes (index, state, reply) of an active message with the next commit batch."""
    def settle(self, spool_id: str, outcomes: Sequence[tuple[int, RecipientState, str]], due_ms: int) -> bool:
        """
        `record`, then end the round: True where nothing is pending any more and the message left the spool; else it
        is scheduled for *due_ms*, with one attempt more if any outcome ever said "deferred" in this round.
        """
    def next_due_ms(self) -> int | None:
        """When the schedule next has something to take, 0 for now; None where nothing waits."""
    def bring_forward(self, due_ms_max: int) -> None:
        """What is due later is due then: for a clock that was set back. Looks at all that waits."""
    def suspend(self, group: str, until_ms: int) -> None:
        """Nothing of that group is due before *until_ms*; 0 ends a suspension."""
    def suspended(self, now_ms: int) -> list[tuple[str, int]]:
        """The groups that are suspended, and until when."""
    def load(self, spool_id: str) -> QueuedMessage | None: ...
    def hold(self, spool_id: str) -> bool: ...
    def release(self, spool_id: str, now_ms: int) -> bool: ...
    def retry(self, spool_id: str, now_ms: int) -> bool: ...
    def drop(self, spool_id: str) -> bool:
        """False where it does not exist or is active (in hand); `hold` likewise takes effect when it is settled."""
    def list(
        self,
        *,
        state: str | None = None,
        domain: str | None = None,
        after: str | None = None,
        count_max: int = 100,
    ) -> list[tuple[str, str, str, int, int, int, int]]:
        """
        Rows (id, state, group, due_ms, spooled_at_ms, attempts, size_octets) in order of id, after *after*.

        With *domain*, those of that group, and those with several recipients, of which one may be there.
        """
    def stats(self) -> dict[str, int]:
        """incoming, active, deferred, hold, corrupt (messages); segments, disk_octets, live_octets, index_octets, commits, commit_batches, pending_octets."""
    def close(self) -> None:
        """Write what waits, sync, stop the threads. Idempotent."""

def dump_segment(path: str) -> list[str]:
    """A segment file as readable lines, as a start would see it (what counts, what is damaged); OSError where it cannot be read."""

# ---- mailboxes (pymta-maildir) --------------------------------------------------------------------------------------

@final
class MaildirStore:
    """
    The Maildirs below one folder. Deliveries that wait at the same time share their syncs.

    A *mailbox* is a path below that folder, `example.org/user`; a *folder* is one of Maildir++, `Lists.pymta`, None for
    the inbox. ValueError where either could lead elsewhere.
    """

    def __new__(cls, folder: str, *, hostname: str, process: int) -> Self:
        """OSError where *folder* cannot be used; its last component is made. *process* tells names of several apart."""
    @property
    def wake_fd(self) -> int:
        """An eventfd that becomes readable when `completions` has something. `drain_wake` resets it."""
    def drain_wake(self) -> None: ...
    def deliver(
        self,
        message: QueuedMessage,
        recipient: int,
        mailbox: str,
        *,
        now_ms: int,
        folder: str | None = None,
        makes_folder: bool = False,
        flags: str = "",
        quota_octets: int | None = None,
        quota_messages: int | None = None,
    ) -> int:
        """
        Deliver to one recipient (its index), with Return-Path and Delivered-To on top. Returns the token that
        `completions` answers. A folder that is missing is made, or else the inbox is taken.
        """
    def completions(self) -> list[tuple[int, Literal["delivered", "over_quota", "failed"], str]]:
        """The deliveries that ended since the last call: token, what became of it, name of the file or the cause."""
    def entries(self, mailbox: str, folder: str | None = None) -> list[tuple[str, str, bool, int]]:
        """(name of the file, flags, whether it is in `new`, octets) in order of name; none where there is no mailbox."""
    def open_maildrop(
        self, mailbox: str, *, now_ms: int, delay_s: int = 0
    ) -> Maildrop | Literal["in_use", "too_soon"]:
        """
        The inbox for this caller alone, in this process and others; made where it is missing. Deliveries go on. "too_soon"
        where it was opened less than *delay_s* ago. Waits for the disk; OSError where it says no.
        """
    def usage(self, mailbox: str) -> tuple[int, int]:
        """Octets and messages that count against its quota: all but those in Trash or marked as deleted. Counts files."""
    def close(self) -> None:
        """Deliver what waits, stop the threads. Idempotent."""

@final
class Maildrop:
    """A mailbox's inbox, open for one reader (`MaildirStore.open_maildrop`). All but `messages` wait for the disk."""

    @property
    def messages(self) -> list[tuple[str, int]]:
        """(unique-id, octets with CRLF) of each message, the oldest first. The list stays while it is open."""
    def retrieve(self, index: int, lines: int | None = None) -> Retrieval | None:
        """
        A message, or its header section and that many lines of its body; None where it is gone. OSError where it cannot be
        read, also where its name is a link.
        """
    def remove(self, indexes: list[int]) -> None:
        """Remove messages durably. OSError where one could not be; the others are."""
    def close(self) -> None:
        """Give it back. Idempotent; so does the end of the object."""

@final
class Retrieval:
    """A message on its way to a POP3 client: CRLF, dots doubled, the end mark. Waits for the disk."""

    def read(self, octets_max: int) -> bytes:
        """The next octets, made of at most so many of the file."""
    @property
    def ended(self) -> bool:
        """All of it was read, the end mark with it."""

# ---- mailboxes (pymta-mailbox) -------------------------------------------------------------------------------------

@final
class ImapAccounts:
    """The mailboxes of all accounts below one folder. One a process: what is open of an account is shared by its views."""

    def __new__(cls, folder: str, *, hostname: str, process: int, full_text: bool = False) -> Self:
        """
        *process* tells names of files of several apart. *full_text*: texts are kept for searches.
        Nothing is opened yet.
        """
    @property
    def has_chores(self) -> bool:
        """
        Whether `do_chore` may have something to do: texts that are not kept yet, much mail in `new` that was shown, a second
        listing that is due, or an index whose log is long. Never waits.
        """
    def do_chore(self, now_ms: int) -> None:
        """
        Do a bit of that, for about a tenth of a second, or as long as one large message or one long log takes. Waits for the
        disk; OSError where it says no.
        """
    def open(
        self,
        mailbox: str,
        account: str,
        now_ms: int,
        *,
        quota_octets: int | None = None,
        quota_messages: int | None = None,
        append_octets_max: int | None = None,
        shares: bool = False,
        shares_with_anyone: bool = False,
    ) -> ImapView:
        """
        A view for one session of *account* on the Maildir *mailbox*, a path as `MaildirStore` has it; made where it is
        missing. Waits for the disk. OSError where it says no, ValueError for a path that could lead elsewhere.
        *shares*: mailboxes of others are seen, and own ones may be shared (RFC 4314), with everybody too where
        *shares_with_anyone* is true.
        """

@final
class ImapView:
    """
    What one session sees. Its methods wait for the disk, one at a time; trouble with it is an answer (NO), not an
    exception. What they return is to be sent as it is. The exception is OSError in the middle of a literal: then only the
    end of the connection can tell the client.
    """

    def run(self, command: ImapCommand, now_ms: int) -> bytes:
        """Begin a command. `running` says whether there is more; the last piece ends with the tagged line."""
    def go_on(self, now_ms: int) -> bytes:
        """The next piece; it may be empty where the work takes long."""
    @property
    def running(self) -> bool: ...
    def poll(self, now_ms: int, *, idling: bool) -> bytes:
        """
        What changed, for IDLE and NOTIFY; empty where nothing did, and while a command runs. `running` says whether there is
        more.
        """
    @property
    def notifying(self) -> bool:
        """NOTIFY is in force: `poll` may have news between commands as well."""
    @property
    def selected(self) -> bool: ...
    @property
    def gone(self) -> bool:
        """
        The mailboxes' index was damaged or made anew: there will be no news, and every command is answered with NO. The
        session has to end; who logs in again gets the new one. Look at it after `run`, `go_on`, `poll` and `append`.
        """
    @property
    def watched(self) -> list[str]:
        """Files and folders which change (inotify) when `poll` may have news; empty where there are none to be had."""
    def take_trouble(self) -> str | None:
        """What an operator should look into, since this was asked last; the client was told no more than NO."""
    def others(self, asked: ImapCommand | ImapAppendEvent | ImapUrlEvent) -> list[str]:
        """Accounts that it is about, as far as they are this reader's affair: `introduce` each before it is run."""
    def introduce(
        self,
        name: str,
        account: str | None,
        mailbox: str = "",
        *,
        quota_octets: int | None = None,
        quota_messages: int | None = None,
    ) -> None:
        """
        The account that a name stands for, its Maildir and its quota; None where there is no such account (any more).
        Does not wait for the disk. ValueError for a path that could lead elsewhere.
        """
    def introduce_later(self, name: str) -> None:
        """The directory did not answer: what it said before counts, and what needs more is answered NO [UNAVAILABLE]."""
    def append(self, event: ImapAppendEvent, now_ms: int) -> ImapUpload: ...
    def close(self) -> None:
        """Give the account back. Idempotent; so does the end of the object."""

@final
class ImapUpload:
    """The messages of an APPEND or REPLACE on their way to the disk. All but the properties wait for it."""

    @property
    def refusal(self) -> tuple[str, str] | None:
        """Text and response code for `ImapSession.refuse`, where it cannot be taken (any more)."""
    @property
    def trouble(self) -> str | None:
        """What an operator should look into: why the disk said no."""
    def message(self, event: ImapMessageEvent) -> None:
        """Begin the next message."""
    def write(self, octets: ImapOctets) -> None:
        """Go on with it. Look at `refusal` afterwards."""
    def url(self, url: str) -> None:
        """Go on with what a URL of this server names (CATENATE). Look at `refusal` afterwards."""
    def commit(self, now_ms: int) -> bytes:
        """Make all messages durable and visible, or none: returns what is to be sent, the tagged line at its end."""
    def abort(self) -> None:
        """Drop all. Idempotent; so does the end of the object."""

@final
class MailboxUpkeep:
    """
    An account's mailboxes for an operator; a server may have them open at the same time. Methods wait for the disk, and
    raise OSError with one line where something is wrong.
    """

    def __new__(
        cls, folder: str, mailbox: str, *, hostname: str, process: int, now_ms: int, to_check: bool = False
    ) -> Self:
        """
        *folder* is that of all mailboxes, *mailbox* a path below it. The index is made where it is missing. *to_check*: a
        damaged one is left where it is, a DamagedIndexError, rather than set aside and made anew.
        """
    @property
    def trouble(self) -> str | None:
        """Why the index was made anew: the old one was damaged, and is beside it."""
    @property
    def progress(self) -> UpkeepProgress:
        """How far what runs has come; may be asked meanwhile."""
    def stop(self) -> None:
        """Let what runs end early with an OSError, between two batches: what was done stays."""
    def take_in_mbox(
        self, path: str, mailbox: str | None = None, *, mboxo: bool = False, now_ms: int
    ) -> list[Path]:
        """
        Add an mbox's messages to *mailbox* (INBOX), or a folder's mboxes to mailboxes called as they are, below *mailbox*.
        What is there already is not added twice. Returned are files that are no mboxes. *mboxo*: only `>From ` is unescaped.
        """
    def export_mbox(self, path: str, mailbox: str | None = None, *, now_ms: int) -> None:
        """Write *mailbox* as an mbox, or all of them below a folder. Nothing is written over."""
    def take_in(self, now_ms: int) -> None:
        """Index everything, with the UIDs, keywords and subscriptions that Dovecot or Courier left."""
    def read_texts(self, now_ms: int) -> None:
        """Keep the texts of all messages for searches. `progress` tells mailboxes and messages that are done."""
    def export(self, now_ms: int) -> None:
        """Write UIDs and keywords where Dovecot finds them."""
    def check(self, now_ms: int) -> tuple[list[str], list[str], list[MailboxReport]]:
        """Damage of the index, folders that are no mailboxes, and what each mailbox is like. Changes nothing."""
    def repair(self, now_ms: int) -> None:
        """Make the index what the Maildir says. After a DamagedIndexError, open anew and repair again."""

@final
class UpkeepProgress:
    """How far an import or an export is."""

    @property
    def mailboxes(self) -> int:
        """Done with."""
    @property
    def messages(self) -> int:
        """In the index, or written."""
    @property
    def records(self) -> int:
        """Made, so that the first client need not wait for them."""
    @property
    def uids_kept(self) -> int:
        """Of those that Dovecot or Courier had given."""
    @property
    def known(self) -> int:
        """Messages of an mbox that were there already."""
    @property
    def octets(self) -> int:
        """Of mboxes, read."""
    @property
    def octets_total(self) -> int:
        """That are to be read."""

@final
class MailboxReport:
    """What a check says of one mailbox. But for `messages`, numbers that are 0 where all is well."""

    @property
    def name(self) -> str:
        """UTF-8, levels parted by slashes."""
    @property
    def messages(self) -> int:
        """In the index."""
    @property
    def missing_files(self) -> int:
        """Messages of the index that have no file."""
    @property
    def unknown_files(self) -> int:
        """Files that the index does not have."""
    @property
    def other_flags(self) -> int:
        """Files whose names have other flags."""
    @property
    def without_records(self) -> int:
        """Messages that the first client to ask for them has to wait for; no fault."""

# ---- POP3 (pymta-pop3) ---------------------------------------------------------------------------------------------

@final
class Pop3Settings:
    """What a listener offers and allows. ValueError for a limit that is unknown or out of range."""

    def __new__(
        cls,
        *,
        stls: bool = False,
        auth_mechanisms: Sequence[str] = ...,
        user_and_pass: bool = False,
        auth_without_tls: bool = False,
        login_delay_s: int | None = None,
        limits: dict[str, int] | None = None,
    ) -> Self: ...

@final
class Pop3LoginEvent:
    """USER and PASS: answered by `open` or `refuse`."""

    @property
    def account(self) -> str: ...
    @property
    def password(self) -> bytes: ...

@final
class Pop3RetrieveEvent:
    """RETR or TOP: answered by `begin_content`, the octets of a `Retrieval`, `end_content`; or by `refuse`."""

    @property
    def index(self) -> int:
        """Place in the maildrop, from 0."""
    @property
    def lines(self) -> int | None:
        """Of the body, for TOP; None for the whole message."""

@final
class Pop3UpdateEvent:
    """QUIT with an open maildrop: answered by `updated`, or by `refuse`; either ends the session."""

    @property
    def deleted(self) -> list[int]:
        """Places of what is to be removed."""

@final
class Pop3ViolationEvent:
    """The peer broke grammar, order or a limit, and was told so."""

    @property
    def kind(self) -> str:
        """For metrics; a closed list."""
    @property
    def text(self) -> str: ...
    @property
    def ends_session(self) -> bool: ...

Pop3Event = (
    StartTlsEvent
    | AuthEvent
    | AuthResponseEvent
    | Pop3LoginEvent
    | Pop3RetrieveEvent
    | Pop3UpdateEvent
    | Pop3ViolationEvent
    | QuitEvent
)

@final
class Pop3Session:
    """One session, as a value. OrderError where a method does not answer what was asked."""

    def __new__(cls, settings: Pop3Settings, *, secure: bool = False) -> Self: ...
    def greet(self) -> None: ...
    def receive(self, chunk: bytes) -> None: ...
    def next_event(self) -> Pop3Event | None:
        """None where more input, an answer, or room for output is needed."""
    def output(self) -> bytes:
        """What is to be sent now; taken by this call."""
    def accept(self) -> None:
        """STLS: then shake hands and call `tls_started`."""
    def refuse(self, text: str, *, code: str | None = None) -> None:
        """-ERR with a code of RFC 2449 or RFC 3206, such as "IN-USE". ValueError for another."""
    def challenge(self, octets: bytes) -> None: ...
    def open(self, maildrop: Maildrop) -> None: ...
    def begin_content(self) -> None: ...
    def end_content(self) -> None: ...
    def updated(self) -> None: ...
    def tls_started(self) -> None: ...
    def shut_down(self, text: str) -> None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def waiting_for_decision(self) -> bool: ...
    @property
    def is_open(self) -> bool:
        """Somebody has logged in."""
    @property
    def output_full(self) -> bool:
        """`next_event` has more to do once the output is taken."""
    @property
    def buffered_octets(self) -> int: ...
    @property
    def command_count(self) -> int: ...
    @property
    def violation_count(self) -> int: ...

# ---- IMAP (pymta-imap) ---------------------------------------------------------------------------------------------

@final
class ImapSettings:
    """What a listener offers and allows. ValueError for a limit or an extension that is unknown or out of range."""

    def __new__(
        cls,
        *,
        starttls: bool = False,
        auth_mechanisms: Sequence[str] = ...,
        login: bool = False,
        auth_without_tls: bool = False,
        extensions: Sequence[str] | None = None,
        compress: bool = False,
        acl: bool = True,
        append_octets_max: int | None = None,
        identity: Sequence[tuple[str, str]] = ...,
        limits: dict[str, int] | None = None,
    ) -> Self:
        """
        *login* is the LOGIN command (else LOGINDISABLED); *extensions* are the names of capabilities that mailboxes have,
        None for all that are known to work; *identity* is what ID answers, pairs such as ("name", "pymta").
        """

@final
class ImapCommand:
    """A command for an `ImapView`; nothing else to look into."""

    @property
    def about_others(self) -> bool:
        """Ask `ImapView.others` which accounts it is about before it is run."""

@final
class ImapOctets:
    """A piece of a message on its way into an `ImapUpload`: it never becomes a Python object's octets."""

    def __len__(self) -> int: ...

@final
class ImapLoginEvent:
    """LOGIN: answered by `open` or `refuse`."""

    @property
    def account(self) -> str: ...
    @property
    def password(self) -> bytes: ...

@final
class ImapCommandEvent:
    """
    A command about mailboxes. All that is said to it, its tagged line too, is the caller's (`ImapView.run`); then `done`.
    """

    @property
    def name(self) -> str:
        """As `UID FETCH`; a closed list."""
    @property
    def command(self) -> ImapCommand: ...

@final
class ImapIdleEvent:
    """IDLE began and was answered: say changes as they happen. Nothing to answer; the session goes on reading."""

@final
class ImapIdleDoneEvent:
    """IDLE is over: `command` says what is new, with the tagged line of IDLE; then `done`."""

    @property
    def command(self) -> ImapCommand: ...

@final
class ImapAppendEvent:
    """APPEND or REPLACE: answered by `accept_append` or `refuse`. `ImapView.append` takes it whole."""

    @property
    def tag(self) -> str: ...
    @property
    def mailbox(self) -> str: ...
    @property
    def about_others(self) -> bool:
        """As of `ImapCommand`."""
    @property
    def replaces(self) -> tuple[int, bool] | None:
        """Number of the message to be replaced (4294967295 is `*`), and whether it is a UID."""
    @property
    def octets_announced(self) -> int | None:
        """Of the first message, or of its first part; None where that is a URL."""

@final
class ImapMessageEvent:
    """A message of an APPEND begins. Nothing to answer; the upload takes it whole."""

    @property
    def flags(self) -> list[str]: ...
    @property
    def internal_date_s(self) -> int | None: ...
    @property
    def octets(self) -> int | None:
        """None where it is made of parts (CATENATE)."""

@final
class ImapContentEvent:
    """Content of the message: answered by `took` or `refuse`."""

    @property
    def octets(self) -> ImapOctets: ...
    @property
    def last(self) -> bool:
        """The end of the message, or of this part of it (CATENATE)."""

@final
class ImapUrlEvent:
    """The message goes on with what this URL names (CATENATE): answered by `took` or `refuse`."""

    @property
    def url(self) -> str: ...
    @property
    def about_others(self) -> bool:
        """As of `ImapCommand`; before it is given to the upload."""

@final
class ImapAppendEndEvent:
    """All messages are there: commit them, send what that returns, then `done`."""

@final
class ImapAppendAbortEvent:
    """The APPEND was given up and answered: drop the upload. Nothing to answer."""

@final
class ImapLogoutEvent:
    """LOGOUT; answered already."""

@final
class ImapViolationEvent:
    """The peer broke grammar, order or a limit, and was told so."""

    @property
    def kind(self) -> str:
        """For metrics; a closed list."""
    @property
    def text(self) -> str: ...
    @property
    def ends_session(self) -> bool: ...

ImapEvent = (
    StartTlsEvent
    | AuthEvent
    | AuthResponseEvent
    | ImapLoginEvent
    | ImapCommandEvent
    | ImapIdleEvent
    | ImapIdleDoneEvent
    | ImapAppendEvent
    | ImapMessageEvent
    | ImapContentEvent
    | ImapUrlEvent
    | ImapAppendEndEvent
    | ImapAppendAbortEvent
    | ImapLogoutEvent
    | ImapViolationEvent
)

@final
class ImapSession:
    """One session, as a value. OrderError where a method does not answer what was asked."""

    def __new__(cls, settings: ImapSettings, *, secure: bool = False) -> Self: ...
    def greet(self) -> None: ...
    def receive(self, chunk: bytes) -> None: ...
    def next_event(self) -> ImapEvent | None:
        """None where more input, an answer, or room for output is needed."""
    def output(self) -> bytes:
        """What is to be sent now; taken by this call."""
    def accept(self) -> None:
        """STARTTLS: then send `output`, shake hands and call `tls_started`."""
    def refuse(self, text: str, *, code: str | None = None) -> None:
        """
        NO, with a response code such as "AUTHENTICATIONFAILED" or "TRYCREATE"; BYE instead of a greeting. What follows of a
        refused APPEND is skipped. ValueError for a code that cannot be sent.
        """
    def challenge(self, octets: bytes) -> None: ...
    def open(self) -> None:
        """The login was right."""
    def accept_append(self) -> None: ...
    def took(self) -> None:
        """A piece of content, or what a URL names, is in the upload."""
    def done(self, *, selected: bool) -> None:
        """The command was answered in full; *selected*: a mailbox is, now."""
    def say(self, octets: bytes) -> None:
        """Appends to `output`, for what does not go straight to the transport."""
    def compress(self, octets: bytes) -> bytes:
        """As they have to go to the transport: unchanged where `compressing` is False. Never with `output` untaken."""
    def tls_started(self) -> None: ...
    def shut_down(self, text: str) -> None:
        """BYE as soon as the protocol allows it."""
    @property
    def closing(self) -> bool: ...
    @property
    def waiting_for_decision(self) -> bool: ...
    @property
    def is_open(self) -> bool:
        """Somebody has logged in."""
    @property
    def idling(self) -> bool: ...
    @property
    def compressing(self) -> bool: ...
    @property
    def output_full(self) -> bool:
        """`next_event` has more to do once the output is taken."""
    @property
    def buffered_octets(self) -> int:
        """What arrived and cannot be read yet, because an answer or room for output is needed; else 0."""
    @property
    def command_count(self) -> int: ...
    @property
    def violation_count(self) -> int: ...

# ---- changes of files (inotify) ------------------------------------------------------------------------------------

@final
class Watches:
    """Files and folders that are watched; OSError where the system has no more of them to give."""

    def __new__(cls) -> Self: ...
    @property
    def fd(self) -> int:
        """Readable when `read` has something."""
    def add(self, path: str) -> int:
        """The number of its watch: the same one for the same file or folder. OSError also where there is none."""
    def remove(self, watch: int) -> None: ...
    def read(self) -> tuple[list[int], list[int], bool]:
        """Watches that saw something, those that are gone, and whether some changes were lost. Never waits."""

# ---- SMTP and LMTP, client side (pymta-smtp::client) ---------------------------------------------------------------

@final
class ClientSettings:
    def __new__(
        cls,
        *,
        hello_name: str,
        lmtp: bool = False,
        extended: bool = True,
        starttls: Literal["never", "opportunistic", "required"] = "opportunistic",
        pipelining: bool = True,
        chunking: bool = True,
        auth: tuple[str, str] | None = None,
        auth_without_tls: bool = False,
    ) -> Self:
        """
        ValueError where *hello_name* is no word that can follow EHLO, or *auth* (user, password) holds a NUL.

        *extended* False begins with HELO: for a host that closed the connection on EHLO (ClosedEvent.stage "hello").
        """

@final
class ReadyEvent:
    """Greeting and EHLO (and STARTTLS, AUTH) are done: `deliver` may be called."""

    capabilities: list[str]

@final
class TlsEvent:
    """The peer said 220 to STARTTLS: shake hands, then call `tls_started`."""

@final
class OutcomeEvent:
    """One message of `deliver` is over: a reply for each of its recipients, ours (enhanced 4.4.2 and the like) where the peer gave none."""

    message: QueuedMessage | None
    """What `deliver` was given; None for `deliver_content`."""
    outcomes: list[tuple[int, Reply]]
    dsn_passed: bool
    """The DSN parameters were passed on, so reporting success is the next hop's duty (RFC 3461 §5.2.2)."""
    content_sent: bool
    """The end of the content went out: where the reply is a 4.4.2 of ours, another try may make a duplicate. False: it cannot."""

@final
class ClosedEvent:
    """The session is over: why (the peer's 421 or 5yz, our diagnosis), None after an orderly QUIT."""

    reply: Reply | None
    before_ready: bool
    stage: str
    """`waiting_for` when it ended."""

ClientEvent = ReadyEvent | TlsEvent | OutcomeEvent | ClosedEvent

@final
class ClientSession:
    """One SMTP or LMTP client session as a value, the mirror of ServerSession."""

    def __new__(cls, settings: ClientSettings, *, secure: bool = False) -> Self: ...
    def receive(self, chunk: bytes) -> None: ...
    def next_event(self) -> ClientEvent | None: ...
    def output(self, octets_max: int = 262144) -> bytes:
        """What is to be sent now, at most about *octets_max*; call again after it is written until it is empty."""
    @property
    def wants_write(self) -> bool: ...
    @property
    def has_event(self) -> bool:
        """Whether `next_event` has something: `deliver` and `output` may give rise to events, too."""
    @property
    def room(self) -> int:
        """
        How many more messages `deliver` takes now (the next one is pipelined behind the current one's end).

        0 with nothing in hand: the peer's MAILMAX (RFC 9422) is reached, so `quit`.
        """
    def deliver(self, message: QueuedMessage, recipients: list[int]) -> None:
        """
        Send a message to some of its recipients (indexes). OrderError where `room` is 0 or a recipient does not exist.

        The outcome of a message that the peer cannot take is there at once: look for events after this call (and
        after `output`, which reads stored content and closes the session where that fails).
        """
    def deliver_content(self, envelope: Envelope, content: bytes) -> None:
        """`deliver` for content that is in no spool, to all recipients; its OutcomeEvent has no message."""
    def quit(self) -> None:
        """Take leave when what is in hand is over, or at once where the session is not ready yet."""
    def tls_started(self) -> None: ...
    def end_of_stream(self, reason: str) -> None:
        """The connection is gone (closed, reset, timed out): open work gets outcomes of 4.4.2."""
    @property
    def waiting_for(
        self,
    ) -> Literal[
        "greeting", "hello", "starttls", "auth", "mail", "data", "content", "final", "quit", "nothing"
    ]:
        """What the peer owes us, for the time limit of that state (RFC 5321 §4.5.3.2)."""
    @property
    def closed(self) -> bool: ...
    @property
    def capabilities(self) -> list[str]: ...
    @property
    def messages_delivered(self) -> int: ...
