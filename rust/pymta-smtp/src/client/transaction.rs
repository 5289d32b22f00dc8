//! One message on its way over one session: what was sent, what is owed, which reply each recipient got.
//!
//! Not the session: what follows a transaction, and what is queued behind it, is session.rs's. Rule: replies are
//! matched to commands by order alone (order.rs), and a recipient's outcome is set once.

use pymta_types::{Enhanced, Envelope, Reply};

use super::command::{write_mail, write_rcpt};
use super::content::Outgoing;
use super::event::Outcome;
use super::fit::{Plan, Via};
use super::order::{Owed, WaitingFor};
use crate::reply_parser::{Parsed, ReplyParser};

/// Where the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Not to be sent yet, or never.
    Waiting,
    /// Going out.
    Sending,
    /// All of it went out.
    Sent,
}

/// A recipient that is tried.
struct Tried {
    index: u32,
    /// None while it may still be delivered.
    outcome: Option<Reply>,
    accepted: bool,
}

/// What a reply did to the transaction.
#[derive(Debug)]
pub(super) enum Progress {
    /// It goes on.
    Going,
    /// Every recipient has its outcome. `reset` is whether the server may still hold the transaction.
    Over { reset: bool },
    /// It is over, and the connection cannot be used any more: the reply is why.
    Broken(Reply),
}

/// Positions in the order of commands: 0 is RSET, 1 MAIL, 2… the RCPTs, then DATA or BDAT.
const MAIL: usize = 1;
const FIRST_RCPT: usize = 2;

pub(super) struct Transaction {
    pub(super) ticket: u64,
    lmtp: bool,
    via: Via,
    /// MAIL and the RCPTs, rendered.
    commands: String,
    /// Where each of them ends.
    ends: Vec<usize>,
    tried: Vec<Tried>,
    refused: Vec<(u32, Reply)>,
    content: Outgoing,
    body: Body,
    /// Position of the next command to send; past the last one when all are sent.
    sent: usize,
    /// Position of the command whose reply is owed next.
    answered: usize,
    /// LMTP: before this one of `tried`, every accepted recipient has its final reply.
    next_final: usize,
    accepted_count: usize,
    mail_reply: Option<Reply>,
    dsn_passed: bool,
    has_begun: bool,
}

impl Transaction {
    pub(super) fn new(ticket: u64, lmtp: bool, envelope: &Envelope, plan: Plan) -> Self {
        // A command with its path is rarely longer; one more allocation where it is.
        let mut commands = String::with_capacity(96 + 64 * plan.tried.len());
        let mut ends = Vec::with_capacity(1 + plan.tried.len());
        write_mail(&mut commands, envelope, plan.parameters);
        ends.push(commands.len());
        for &index in &plan.tried {
            write_rcpt(
                &mut commands,
                &envelope.recipients[index as usize],
                plan.parameters,
            );
            ends.push(commands.len());
        }
        let tried = plan.tried.into_iter().map(|index| Tried {
            index,
            outcome: None,
            accepted: false,
        });
        Self {
            ticket,
            lmtp,
            via: plan.via,
            commands,
            ends,
            tried: tried.collect(),
            refused: plan.refused,
            content: Outgoing::new(plan.content, plan.via != Via::Data),
            body: Body::Waiting,
            sent: MAIL,
            answered: MAIL,
            next_final: 0,
            accepted_count: 0,
            mail_reply: None,
            dsn_passed: plan.parameters.dsn,
            has_begun: false,
        }
    }

    /// Whether there is anybody to send it to.
    pub(super) fn is_wanted(&self) -> bool {
        !self.tried.is_empty()
    }

    /// Whether anything of it went out.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the next transaction may follow in the same write: all of this one went out, by DATA, whose end ends
    /// the transaction on the server whatever its reply. After BDAT the state is known only with the reply
    /// (RFC 3030 §4.2: RSET after a failed one).
    pub(super) fn may_be_followed(&self) -> bool {
        self.via == Via::Data && self.body == Body::Sent
    }

    /// What the server owes next.
    pub(super) fn owed(&self) -> Owed {
        let last = self.last();
        match self.answered {
            0 => Owed::Reset,
            MAIL => Owed::Mail,
            at if at < last => Owed::Rcpt(at - FIRST_RCPT),
            at if at == last && self.via == Via::Data => Owed::Data,
            _ => Owed::Final,
        }
    }

    pub(super) fn waiting_for(&self) -> WaitingFor {
        match (self.owed(), self.body) {
            (Owed::Final, Body::Sending) => WaitingFor::Content,
            (Owed::Final, Body::Sent) => WaitingFor::Final,
            // Nothing is owed before something was said: the socket has had no room for it.
            _ if self.sent == self.answered => WaitingFor::Content,
            (Owed::Data, _) => WaitingFor::Data,
            _ => WaitingFor::Mail,
        }
    }

    /// Position of DATA or BDAT.
    fn last(&self) -> usize {
        FIRST_RCPT + self.tried.len()
    }

    // ---- out ----

    /// Appends what may go out now to `out`, until it holds about `octets_max`.
    ///
    /// # Errors
    /// The content's: it can be neither finished nor taken back, so the connection must end.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        octets_max: usize,
        pipelining: bool,
        reset: bool,
    ) -> std::io::Result<()> {
        if !self.has_begun {
            self.has_begun = true;
            if reset {
                (self.sent, self.answered) = (0, 0);
            }
        }
        while self.sent <= self.last() && (pipelining || self.sent == self.answered) {
            if self.sent == self.last() && self.via == Via::Bdat && self.sent != self.answered {
                break; // asks for a recipient first
            }
            self.write_command(out, pipelining);
        }
        if self.body == Body::Sending && self.content.fill(out, octets_max)? {
            self.body = Body::Sent;
        }
        Ok(())
    }

    fn write_command(&mut self, out: &mut Vec<u8>, pipelining: bool) {
        let at = self.sent;
        if at == 0 {
            out.extend_from_slice(b"RSET\r\n");
        } else if at < self.last() {
            let start = if at == MAIL { 0 } else { self.ends[at - 2] };
            let next = if pipelining { self.last() } else { at + 1 };
            out.extend_from_slice(&self.commands.as_bytes()[start..self.ends[next - 2]]);
            self.sent = next;
            return;
        } else if self.via == Via::Data {
            out.extend_from_slice(b"DATA\r\n");
        } else {
            out.extend_from_slice(format!("BDAT {} LAST\r\n", self.content.len()).as_bytes());
            self.body = Body::Sending;
        }
        self.sent = at + 1;
    }

    /// Whether [`Transaction::write`] would write something.
    pub(super) fn wants_write(&self, pipelining: bool) -> bool {
        if self.body == Body::Sending || !self.has_begun {
            return true;
        }
        let may_send = pipelining && !(self.sent == self.last() && self.via == Via::Bdat);
        self.sent <= self.last() && (may_send || self.sent == self.answered)
    }

    // ---- in ----

    /// Takes the next reply. 421 is the session's affair and does not come here.
    pub(super) fn take(&mut self, parser: &ReplyParser, parsed: Parsed, pipelining: bool) -> Progress {
        let owed = self.owed();
        if self.sent <= self.answered && owed != Owed::Final {
            return Progress::Broken(violation("a reply to nothing"));
        }
        let kind = parsed.code / 100;
        if kind == 3 && owed != Owed::Data {
            return Progress::Broken(violation("an intermediate reply where none belongs"));
        }
        let reply = || parser.reply(parsed);
        match owed {
            Owed::Reset => {
                if kind != 2 {
                    return Progress::Broken(violation("RSET was refused"));
                }
                self.answered += 1;
                Progress::Going
            }
            Owed::Mail => {
                if kind != 2 {
                    self.mail_reply = Some(reply());
                }
                self.answered += 1;
                if kind != 2 && !pipelining {
                    return self.over(false);
                }
                Progress::Going
            }
            Owed::Rcpt(number) => {
                if kind == 2 {
                    self.tried[number].accepted = true;
                    self.accepted_count += 1;
                } else {
                    let reply = as_rcpt_outcome(reply(), self.accepted_count);
                    self.tried[number].outcome = Some(reply);
                }
                self.answered += 1;
                // DATA, where it is not out already, is not worth asking for without a recipient.
                let waits = self.sent == self.last() && self.answered == self.last();
                if waits && (self.accepted_count == 0 || self.mail_reply.is_some()) {
                    return self.over(self.mail_reply.is_none() || self.accepted_count > 0);
                }
                Progress::Going
            }
            Owed::Data => self.take_data_reply(kind, reply),
            Owed::Final => self.take_final_reply(kind, reply),
        }
    }

    fn take_data_reply(&mut self, kind: u16, reply: impl Fn() -> Reply) -> Progress {
        let takes_content = self.accepted_count > 0 && self.mail_reply.is_none();
        match kind {
            3 if takes_content => self.body = Body::Sending,
            // RFC 2920 §3.1: the server wants content although there is no recipient; it gets the end mark.
            3 if self.accepted_count == 0 && !self.lmtp => {
                self.content = Outgoing::new(Box::new(super::content::HeldContent(Vec::new())), false);
                self.body = Body::Sending;
            }
            // An end mark now could deliver an empty message.
            3 => {
                return Progress::Broken(violation(
                    "content was asked for in a transaction that was refused",
                ));
            }
            2 => return Progress::Broken(violation("DATA was answered as if it had been content")),
            _ => {
                let reply = reply();
                self.settle_accepted(&reply);
                return self.over(self.mail_reply.is_none() || self.accepted_count > 0);
            }
        }
        self.answered += 1;
        Progress::Going
    }

    fn take_final_reply(&mut self, kind: u16, reply: impl Fn() -> Reply) -> Progress {
        if self.body != Body::Sent {
            // Early: content that did not all go out cannot have been taken, and the rest of it would be commands.
            if kind == 2 {
                return Progress::Broken(violation("content was confirmed before its end"));
            }
            let reply = reply();
            self.settle_accepted(&reply);
            return Progress::Broken(reply);
        }
        let reset = self.via != Via::Data && kind != 2;
        if self.mail_reply.is_some() && self.accepted_count > 0 && kind == 2 {
            // BDAT at once, MAIL refused and all the rest taken: whatever that server did, say no and leave.
            return Progress::Broken(violation("content was taken in a transaction that was refused"));
        }
        if !self.lmtp || self.accepted_count == 0 {
            if self.accepted_count > 0 {
                let reply = reply();
                self.settle_accepted(&reply);
            }
            return self.over(reset);
        }
        let mut open = (self.next_final..self.tried.len()).filter(|&at| self.tried[at].accepted);
        let (this, following) = (open.next(), open.next());
        if let Some(at) = this {
            self.tried[at].outcome = Some(reply());
            self.next_final = at + 1;
        }
        match following {
            Some(_) => Progress::Going,
            None => self.over(reset),
        }
    }

    /// Gives `reply` to every accepted recipient that has no outcome.
    fn settle_accepted(&mut self, reply: &Reply) {
        let open = self
            .tried
            .iter_mut()
            .filter(|tried| tried.accepted && tried.outcome.is_none());
        open.for_each(|tried| tried.outcome = Some(reply.clone()));
    }

    /// The end. A refused MAIL is every recipient's outcome: what came to RCPT and DATA after it says only that the
    /// order was broken.
    fn over(&mut self, reset: bool) -> Progress {
        if let Some(reply) = &self.mail_reply {
            for tried in &mut self.tried {
                tried.outcome = Some(reply.clone());
            }
        }
        Progress::Over { reset }
    }

    /// What became of it; recipients without an outcome get `otherwise`.
    pub(super) fn into_outcome(mut self, otherwise: impl Fn() -> Reply) -> Outcome {
        // The connection may break between the replies to a refused MAIL and the rest of its group.
        self.over(false);
        let mut outcomes = self.refused;
        outcomes.extend(
            self.tried
                .into_iter()
                .map(|tried| (tried.index, tried.outcome.unwrap_or_else(&otherwise))),
        );
        Outcome {
            ticket: self.ticket,
            outcomes,
            dsn_passed: self.dsn_passed,
            content_sent: self.body == Body::Sent && self.accepted_count > 0,
        }
    }

    /// Replaces the reply to MAIL.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.mail_reply = Some(reply);
    }

    /// Whether any recipient got the message.
    pub(super) fn is_delivered(&self) -> bool {
        self.tried
            .iter()
            .any(|tried| tried.outcome.as_ref().is_some_and(Reply::is_positive))
    }

    /// Whether MAIL was refused with 503: the server and we disagree on where the session stands.
    pub(super) fn is_out_of_step(&self) -> bool {
        self.mail_reply.as_ref().is_some_and(|reply| reply.code() == 503)
    }
}

/// A reply to RCPT, where 552 may mean what 452 says: too many recipients (RFC 5321 §4.5.3.1.10). It is taken so
/// where the enhanced status says it, or where nothing does and earlier recipients of this message were accepted.
fn as_rcpt_outcome(reply: Reply, accepted_count: usize) -> Reply {
    let too_many = match reply.enhanced() {
        Some(enhanced) => enhanced == Enhanced(5, 5, 3),
        None => accepted_count > 0,
    };
    if reply.code() == 552 && too_many {
        return Reply::fixed(452, Enhanced(4, 5, 3), reply.text());
    }
    reply
}

/// The server broke the protocol. Temporary: the next attempt may meet a better day or another host.
pub(super) fn violation(what: &str) -> Reply {
    Reply::fixed(
        451,
        Enhanced(4, 5, 0),
        &format!("protocol violation by the next hop: {what}"),
    )
}
