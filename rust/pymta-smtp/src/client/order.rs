//! Which step leads where on the client's side. This file is the only one that may name a next stage.
//!
//! The session (RFC 5321 §3.1, §3.2; RFC 3207 §4.2; RFC 4954 §4):
//!
//! ```text
//!   Greeting ──220──► Hello ──5yz──► PlainHello
//!                     │  ▲ │              │
//!              STARTTLS  │ └──────┬───────┘
//!                     ▼  │        │ 250, nothing more to arrange
//!         StartTls ─220─► Handshake        │
//!              │                  ▼        ▼
//!              └─refused────► Authentication ──235──► Ready ──QUIT──► Quitting ──► Closed
//!
//!   any stage ──421, violation, end of stream──► Closed
//! ```
//!
//! One transaction inside `Ready` is owed replies in this order (RFC 5321 §4.1.4), skipping what was not sent:
//!
//! ```text
//!   RSET ──► MAIL ──► RCPT … RCPT ──► DATA ──354──► [content] ──► final (one for each recipient in LMTP)
//!                                  └► BDAT n LAST [content] ────► final
//! ```
//!
//! With PIPELINING, MAIL, RCPTs and DATA (or BDAT and its chunk) leave in one write, and the next transaction's
//! group leaves behind the final dot (RFC 2920 §3.1): replies are matched by this order and nothing else.

/// Where the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connected; the server speaks first.
    Greeting,
    /// EHLO or LHLO is out.
    Hello,
    /// HELO is out.
    PlainHello,
    /// STARTTLS is out.
    StartTls,
    /// 220 came to it: TLS is being negotiated, nothing may arrive here.
    Handshake,
    /// AUTH is out.
    Authentication,
    /// Transactions.
    Ready,
    /// QUIT is out.
    Quitting,
    /// Over.
    Closed,
}

/// What can happen to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// 220 came, and we say EHLO or LHLO.
    Greet,
    /// 220 came, or EHLO was refused, and we say HELO.
    GreetPlainly,
    /// We say STARTTLS.
    AskForTls,
    /// 220 came to STARTTLS.
    BeginHandshake,
    /// TLS is there; everything said before is forgotten and EHLO said again.
    GreetUnderTls,
    /// We say AUTH.
    Authenticate,
    /// Nothing is left to arrange.
    Open,
    /// We say QUIT.
    Leave,
    /// It is over, for whatever reason.
    Close,
}

/// The stage that `step` leads to; None where that would be a bug of ours.
pub(super) fn after(stage: Stage, step: Step) -> Option<Stage> {
    use Stage::*;
    Some(match (stage, step) {
        (Closed, _) => return None,
        (_, Step::Close) => Closed,
        (Greeting, Step::Greet) => Hello,
        (Greeting | Hello, Step::GreetPlainly) => PlainHello,
        (Hello, Step::AskForTls) => StartTls,
        (StartTls, Step::BeginHandshake) => Handshake,
        (Handshake, Step::GreetUnderTls) => Hello,
        (Hello | StartTls, Step::Authenticate) => Authentication,
        (Hello | PlainHello | StartTls | Authentication, Step::Open) => Ready,
        (Ready, Step::Leave) => Quitting,
        _ => return None,
    })
}

/// What a transaction is owed next, in the order of the drawing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// To the RSET before it.
    Reset,
    /// To MAIL.
    Mail,
    /// To the RCPT of this number.
    Rcpt(usize),
    /// To DATA.
    Data,
    /// To the end of the content (DATA's dot or BDAT's last octet).
    Final,
}

/// What the peer owes us, for the time limit of RFC 5321 §4.5.3.2 that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// §4.5.3.2.1: 5 minutes.
    Greeting,
    /// The reply to EHLO, HELO or LHLO.
    Hello,
    /// The reply to STARTTLS, and the handshake.
    StartTls,
    /// A reply to AUTH.
    Auth,
    /// A reply to RSET, MAIL or RCPT; §4.5.3.2.2 and §4.5.3.2.3: 5 minutes.
    Mail,
    /// The reply to DATA; §4.5.3.2.4: 2 minutes.
    Data,
    /// Room to write; for content §4.5.3.2.5 has 3 minutes a block.
    Content,
    /// The reply to the end of the content; §4.5.3.2.6: 10 minutes.
    Final,
    /// The reply to QUIT.
    Quit,
    /// Nothing: no message is in hand, or it is over.
    Nothing,
}

impl WaitingFor {
    /// The word for it in logs and at the seam.
    pub fn word(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Hello => "hello",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Data => "data",
            Self::Content => "content",
            Self::Final => "final",
            Self::Quit => "quit",
            Self::Nothing => "nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 9] = [
        Stage::Greeting,
        Stage::Hello,
        Stage::PlainHello,
        Stage::StartTls,
        Stage::Handshake,
        Stage::Authentication,
        Stage::Ready,
        Stage::Quitting,
        Stage::Closed,
    ];
    const STEPS: [Step; 9] = [
        Step::Greet,
        Step::GreetPlainly,
        Step::AskForTls,
        Step::BeginHandshake,
        Step::GreetUnderTls,
        Step::Authenticate,
        Step::Open,
        Step::Leave,
        Step::Close,
    ];

    #[test]
    fn every_stage_can_be_reached_and_closed() {
        let mut reached = vec![Stage::Greeting];
        for at in 0..STAGES.len() {
            let Some(&stage) = reached.get(at) else { break };
            let next = STEPS.iter().filter_map(|&step| after(stage, step));
            for stage in next.collect::<Vec<_>>() {
                if !reached.contains(&stage) {
                    reached.push(stage);
                }
            }
        }
        assert_eq!(STAGES.len(), reached.len());
        for stage in STAGES {
            let closed = (stage != Stage::Closed).then_some(Stage::Closed);
            assert_eq!(closed, after(stage, Step::Close));
        }
    }

    #[test]
    fn tls_is_negotiated_only_after_it_was_agreed_on() {
        for stage in STAGES {
            let handshake = (stage == Stage::StartTls).then_some(Stage::Handshake);
            assert_eq!(handshake, after(stage, Step::BeginHandshake));
        }
    }

    #[test]
    fn what_was_said_in_the_clear_is_said_again_under_tls() {
        for step in STEPS.into_iter().filter(|&step| step != Step::Close) {
            let hello = (step == Step::GreetUnderTls).then_some(Stage::Hello);
            assert_eq!(hello, after(Stage::Handshake, step));
        }
    }
}
