//! The client session: what arrives is matched to what is owed, and what may go out is put together.
//!
//! Not what is said before mail may flow (opening.rs) and not what one message needs (transaction.rs). Rule: every
//! message that `deliver` took gets exactly one outcome, whatever the server does; and when the session ends in the
//! middle of content, nothing more goes out that could end that content.

use std::collections::VecDeque;
use std::sync::Arc;

use pymta_types::{Enhanced, Envelope, Reply};

use super::capabilities::Capabilities;
use super::content::Content;
use super::event::{ClientEvent, Closed};
use super::fit;
use super::opening::{AuthTurn, surplus};
use super::order::{Stage, Step, WaitingFor, after};
use super::settings::ClientSettings;
use super::transaction::{Progress, Transaction, violation};
use crate::reply_parser::{Parsed, ReplyParser};

/// Most messages in hand at once: one whose end is on its way, and the next one behind it. More would not save a
/// round trip, and all of them are tried again when the connection breaks.
pub const TRANSACTIONS_MAX: usize = 2;

/// What an idle session may keep of its output buffer.
const IDLE_OUTPUT_OCTETS_MAX: usize = 16 * 1024;

/// A bug of the caller: the session is not in a state for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// `deliver` before Ready, after `quit` or after the end.
    #[error("the session takes no message now")]
    NotReady,
    /// `deliver` with `room` 0.
    #[error("the session has no room for another message")]
    NoRoom,
    /// `deliver` for a recipient that the envelope does not have, or for none.
    #[error("the envelope has no such recipient")]
    NoSuchRecipient,
    /// `tls_started` without a TLS event.
    #[error("TLS was not agreed on")]
    NoTls,
}

/// One SMTP or LMTP session as a value.
pub struct ClientSession {
    pub(super) settings: Arc<ClientSettings>,
    pub(super) stage: Stage,
    /// Whether TLS protects the connection, from the start or by STARTTLS.
    pub(super) secure: bool,
    /// Whether it was STARTTLS.
    pub(super) tls_negotiated: bool,
    pub(super) was_ready: bool,
    pub(super) auth_turn: AuthTurn,
    pub(super) offered: Capabilities,
    pub(super) parser: ReplyParser,
    pub(super) out: Vec<u8>,
    pub(super) events: VecDeque<ClientEvent>,
    transactions: VecDeque<Transaction>,
    /// A failed transaction may still be open on the server: RSET before the next one.
    needs_reset: bool,
    /// `quit` was called.
    leaving: bool,
    next_ticket: u64,
    begun_count: u32,
    delivered_count: u64,
}

impl ClientSession {
    /// A session on a connection that was just made. `secure` where TLS is on it already (submissions).
    pub fn new(settings: Arc<ClientSettings>, secure: bool) -> Self {
        Self {
            settings,
            stage: Stage::Greeting,
            secure,
            tls_negotiated: false,
            was_ready: false,
            auth_turn: AuthTurn::default(),
            offered: Capabilities::default(),
            parser: ReplyParser::default(),
            out: Vec::new(),
            events: VecDeque::new(),
            transactions: VecDeque::with_capacity(TRANSACTIONS_MAX),
            needs_reset: false,
            leaving: false,
            next_ticket: 0,
            begun_count: 0,
            delivered_count: 0,
        }
    }

    // ---- in ----

    /// Takes octets of the server. Events and output may follow.
    pub fn receive(&mut self, chunk: &[u8]) {
        match self.stage {
            Stage::Closed => return,
            // Clear octets where the server's part of the handshake belongs.
            Stage::Handshake => return self.close(Some(surplus()), false),
            _ => self.parser.receive(chunk),
        }
        loop {
            match self.parser.next_reply() {
                Ok(Some(parsed)) => self.take_reply(parsed),
                Ok(None) => return,
                Err(fault) => return self.close(Some(violation(&fault.to_string())), false),
            }
            if self.stage == Stage::Closed {
                return;
            }
        }
    }

    fn take_reply(&mut self, parsed: Parsed) {
        match self.stage {
            // Whatever it says: we asked to leave, and nothing else is owed.
            Stage::Quitting => self.close(None, false),
            // RFC 5321 §3.8: may come at any time and ends everything.
            _ if parsed.code == 421 => {
                let reply = self.parser.reply(parsed);
                self.close(Some(reply), false);
            }
            Stage::Ready => self.take_transaction_reply(parsed),
            _ => self.take_opening_reply(parsed),
        }
    }

    fn take_transaction_reply(&mut self, parsed: Parsed) {
        let pipelining = self.uses_pipelining();
        let Some(front) = self.transactions.front_mut() else {
            return self.close(Some(surplus()), false);
        };
        match front.take(&self.parser, parsed, pipelining) {
            Progress::Going => {}
            Progress::Over { reset } => self.finish_front(reset),
            Progress::Broken(reply) => self.close(Some(reply), false),
        }
    }

    /// The oldest transaction has all its outcomes.
    fn finish_front(&mut self, reset: bool) {
        let Some(mut front) = self.transactions.pop_front() else {
            return;
        };
        if front.is_out_of_step() && self.begun_count > 1 {
            // 503 to a MAIL that is not the connection's first: the server counts an earlier transaction as open. It
            // says nothing about this message, so this message does not fail for it.
            let reply = Reply::fixed(
                451,
                Enhanced(4, 5, 1),
                "the next hop and we disagree about the session's state",
            );
            front.refuse(reply.clone());
            self.push_outcome(front, || reply.clone());
            return self.close(Some(reply), true);
        }
        self.needs_reset |= reset;
        self.delivered_count += u64::from(front.is_delivered());
        // Every recipient has its own outcome here.
        self.push_outcome(front, || violation("no reply"));
    }

    fn push_outcome(&mut self, transaction: Transaction, otherwise: impl Fn() -> Reply) {
        let outcome = transaction.into_outcome(otherwise);
        self.events.push_back(ClientEvent::Outcome(outcome));
    }

    /// The connection is gone: closed, reset, or given up by the driver after a time limit. `reason` is for the
    /// diagnosis.
    pub fn end_of_stream(&mut self, reason: &str) {
        if self.stage == Stage::Closed {
            return;
        }
        if self.stage == Stage::Quitting {
            return self.close(None, false);
        }
        let closing = lost(reason, self.waiting_for());
        self.close_with(Some(closing), false, |transaction| {
            lost(reason, transaction.waiting_for())
        });
    }

    // ---- what the driver wants ----

    /// Takes a message for delivery to `recipients` (indexes into the envelope's); returns the ticket that its
    /// outcome carries. The outcome may be there at once: look for events before waiting.
    ///
    /// # Errors
    /// [`OrderError`], and then nothing happened.
    pub fn deliver(
        &mut self,
        envelope: &Envelope,
        recipients: &[u32],
        content: Box<dyn Content>,
    ) -> Result<u64, OrderError> {
        if self.stage != Stage::Ready || self.leaving {
            return Err(OrderError::NotReady);
        }
        if self.room() == 0 {
            return Err(OrderError::NoRoom);
        }
        let exists = |&index: &u32| (index as usize) < envelope.recipients.len();
        if recipients.is_empty() || !recipients.iter().all(exists) {
            return Err(OrderError::NoSuchRecipient);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let plan = fit::plan(&self.offered, &self.settings, envelope, recipients, content);
        let transaction = Transaction::new(ticket, self.settings.lmtp, envelope, plan);
        if transaction.is_wanted() {
            self.begun_count = self.begun_count.saturating_add(1);
            self.transactions.push_back(transaction);
        } else {
            self.push_outcome(transaction, || violation("no reply"));
        }
        Ok(ticket)
    }

    /// Says QUIT when the messages in hand are over; at once where the session is not ready yet. No further message
    /// is taken.
    pub fn quit(&mut self) {
        match self.stage {
            Stage::Ready => self.leaving = true,
            Stage::Quitting | Stage::Closed => {}
            _ => self.close(None, true),
        }
    }

    /// The handshake that the TLS event asked for is over.
    ///
    /// # Errors
    /// [`OrderError::NoTls`]
    pub fn tls_started(&mut self) -> Result<(), OrderError> {
        if self.stage != Stage::Handshake {
            return Err(OrderError::NoTls);
        }
        self.greet_under_tls();
        Ok(())
    }

    // ---- out ----

    /// The oldest event that was not taken yet.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Hands what is to be sent now to `take`, at most about `octets_max`, and forgets it. Call it again after that
    /// is written, until it is empty.
    ///
    /// Memory: the buffer holds at most `octets_max`, one piece of content stuffed and one group of commands.
    pub fn output<R>(&mut self, octets_max: usize, take: impl FnOnce(&[u8]) -> R) -> R {
        self.fill(octets_max);
        let taken = take(&self.out);
        self.out.clear();
        self.out.shrink_to(IDLE_OUTPUT_OCTETS_MAX);
        taken
    }

    /// Puts into the buffer what the transactions may say now, in their order.
    fn fill(&mut self, octets_max: usize) {
        if self.stage != Stage::Ready {
            return;
        }
        let pipelining = self.uses_pipelining();
        for at in 0..self.transactions.len() {
            if at > 0 && !(pipelining && self.transactions[at - 1].may_be_followed()) {
                break;
            }
            let reset = at == 0 && self.needs_reset && !self.transactions[at].has_begun();
            self.needs_reset &= !reset;
            let written = self.transactions[at].write(&mut self.out, octets_max, pipelining, reset);
            if written.is_err() {
                return self.close(Some(fit::unreadable()), false);
            }
        }
        if self.leaving && self.transactions.is_empty() {
            self.out.extend_from_slice(b"QUIT\r\n");
            self.step(Step::Leave);
        }
    }

    /// Whether [`ClientSession::output`] would give something.
    pub fn wants_write(&self) -> bool {
        if !self.out.is_empty() {
            return true;
        }
        let pipelining = self.uses_pipelining();
        self.stage == Stage::Ready
            && match (self.transactions.front(), self.transactions.get(1)) {
                (None, _) => self.leaving,
                (Some(front), behind) => {
                    front.wants_write(pipelining)
                        || (pipelining
                            && front.may_be_followed()
                            && behind.is_some_and(|behind| behind.wants_write(pipelining)))
                }
            }
    }

    // ---- the end ----

    /// Ends the session: every message in hand gets its outcome, and nothing that was about to go out does. `polite`
    /// says QUIT, where no content is under way.
    pub(super) fn close(&mut self, reply: Option<Reply>, polite: bool) {
        if self.stage == Stage::Closed {
            return;
        }
        let otherwise = reply.clone().unwrap_or_else(|| violation("no reply"));
        self.close_with(reply, polite, |_| otherwise.clone());
    }

    /// As `close`, with a reply of its own for each message in hand.
    fn close_with(&mut self, reply: Option<Reply>, polite: bool, otherwise: impl Fn(&Transaction) -> Reply) {
        let stage = self.waiting_for();
        for transaction in std::mem::take(&mut self.transactions) {
            self.delivered_count += u64::from(transaction.is_delivered());
            let otherwise = otherwise(&transaction);
            self.push_outcome(transaction, || otherwise.clone());
        }
        self.out.clear();
        if polite && self.stage != Stage::Handshake && stage != WaitingFor::Content {
            self.out.extend_from_slice(b"QUIT\r\n");
        }
        if self.stage == Stage::Handshake {
            // Not taken yet, or too late for it.
            self.events.retain(|event| *event != ClientEvent::Tls);
        }
        self.step(Step::Close);
        self.parser.clear();
        self.events.push_back(ClientEvent::Closed(Closed {
            reply,
            before_ready: !self.was_ready,
            stage,
        }));
    }

    pub(super) fn step(&mut self, step: Step) {
        let next = after(self.stage, step);
        debug_assert!(next.is_some(), "{:?} cannot {step:?}", self.stage);
        self.stage = next.unwrap_or(Stage::Closed);
    }

    fn uses_pipelining(&self) -> bool {
        self.offered.pipelining && self.settings.pipelining
    }

    // ---- what it is like now ----

    /// How many more messages `deliver` takes now. Where it is 0 with nothing in hand, the session has reached the
    /// server's MAILMAX (RFC 9422): quit.
    pub fn room(&self) -> usize {
        if self.stage != Stage::Ready || self.leaving {
            return 0;
        }
        let most = if self.uses_pipelining() {
            TRANSACTIONS_MAX
        } else {
            1
        };
        let left = match self.offered.limits.mail_max {
            Some(mail_max) => mail_max.saturating_sub(self.begun_count) as usize,
            None => usize::MAX,
        };
        most.saturating_sub(self.transactions.len()).min(left)
    }

    /// What the server owes us.
    pub fn waiting_for(&self) -> WaitingFor {
        match self.stage {
            Stage::Greeting => WaitingFor::Greeting,
            Stage::Hello | Stage::PlainHello => WaitingFor::Hello,
            Stage::StartTls | Stage::Handshake => WaitingFor::StartTls,
            Stage::Authentication => WaitingFor::Auth,
            Stage::Ready => self
                .transactions
                .front()
                .map_or(WaitingFor::Nothing, Transaction::waiting_for),
            Stage::Quitting => WaitingFor::Quit,
            Stage::Closed => WaitingFor::Nothing,
        }
    }

    /// Whether it is over. There may be a last output, after which the connection is to be closed.
    pub fn closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// What the server offers.
    pub fn offered(&self) -> &Capabilities {
        &self.offered
    }

    /// Messages that at least one recipient got.
    pub fn messages_delivered(&self) -> u64 {
        self.delivered_count
    }

    /// Whether [`ClientSession::next_event`] has something. `deliver` and `output` may give rise to events, too.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Messages taken whose outcome is still open.
    pub fn in_hand(&self) -> usize {
        self.transactions.len()
    }
}

/// The diagnosis for a connection that ended while `waiting_for` was owed.
fn lost(reason: &str, waiting_for: WaitingFor) -> Reply {
    let text = match waiting_for {
        WaitingFor::Nothing => reason.to_owned(),
        WaitingFor::Content => format!("{reason} before all of the message was written"),
        WaitingFor::Final => format!("{reason} before the content was confirmed: it may arrive twice"),
        waiting_for => format!("{reason} while waiting for {}", waiting_for.word()),
    };
    Reply::fixed(451, Enhanced(4, 4, 2), &text)
}
