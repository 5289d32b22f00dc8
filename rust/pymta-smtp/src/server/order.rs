//! Which step leads where (RFC 5321 §4.1.4). This file is the only one that may name a next state; a refused command
//! never reaches it and so changes nothing, with one exception: a BDAT that is refused ends its transaction, because
//! what a client pipelined behind it must not become the tail of a message with a hole (RFC 3030 §2).
//!
//! A test draws this table into `docs/smtp-order.md`.

/// Where a session is, without what it knows there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Greeted; the client has not named itself.
    Connected,
    /// Named; no transaction.
    Ready,
    /// MAIL was accepted, no RCPT yet.
    HasReversePath,
    /// At least one RCPT was accepted.
    HasForwardPath,
    /// After 354: octets, up to the final dot.
    ReceivingContent,
    /// After BDAT: octets, a known number.
    ReceivingChunk,
    /// At least one BDAT was accepted, and not the last.
    BetweenChunks,
    /// Nothing is read any more.
    Closing,
}

/// What can happen: a command that is accepted, or content that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// HELO, EHLO or LHLO.
    Hello,
    StartTls,
    Auth,
    Xclient,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    /// NOOP, HELP, VRFY, EXPN: answered, and nothing else.
    Aside,
    Quit,
    /// The last octet of a BDAT that was not the last one.
    EndOfChunk,
    /// The last octet of the message: it was accepted or refused.
    EndOfContent,
    /// A BDAT was refused.
    BdatRefused,
}

/// The state after `step`, or None where the step has no place (`503 5.5.1`).
pub(crate) fn after(state: State, step: Step) -> Option<State> {
    use {State::*, Step::*};
    Some(match (state, step) {
        (ReceivingContent, EndOfContent) => Ready,
        (ReceivingChunk, EndOfContent) => Ready,
        (ReceivingChunk, EndOfChunk) => BetweenChunks,
        (Closing | ReceivingContent | ReceivingChunk, _) => return None, // octets, not commands
        (_, EndOfChunk | EndOfContent) => return None,
        (_, Quit) => Closing,
        (_, Hello) => Ready,             // also ends a transaction, as if RSET
        (Ready, StartTls) => Connected,  // forget what was said in the clear, RFC 3207 §4.2
        (Ready, Xclient) => Connected,   // it is another client from here on
        (Ready, Auth) => Ready,          // never inside a transaction, RFC 4954 §4
        (Ready, Mail) => HasReversePath, // never nested, RFC 5321 §4.1.4
        (HasReversePath | HasForwardPath, Rcpt) => HasForwardPath,
        (HasForwardPath, Data) => ReceivingContent, // never after BDAT, RFC 3030 §2
        (HasForwardPath | BetweenChunks, Bdat) => ReceivingChunk,
        (Connected, Rset | BdatRefused) => Connected,
        (_, Rset | BdatRefused) => Ready,
        (same, Aside) => same, // allowed at any time
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::Connected,
        State::Ready,
        State::HasReversePath,
        State::HasForwardPath,
        State::ReceivingContent,
        State::ReceivingChunk,
        State::BetweenChunks,
        State::Closing,
    ];

    const STEPS: [Step; 14] = [
        Step::Hello,
        Step::StartTls,
        Step::Auth,
        Step::Xclient,
        Step::Mail,
        Step::Rcpt,
        Step::Data,
        Step::Bdat,
        Step::Rset,
        Step::Aside,
        Step::Quit,
        Step::EndOfChunk,
        Step::EndOfContent,
        Step::BdatRefused,
    ];

    fn drawn() -> String {
        let mut page = String::from(
            "# Order of SMTP commands\n\n\
             Drawn from `rust/pymta-smtp/src/server/order.rs` by its test; do not edit. A row is where the session is, a\n\
             column what is accepted or happens, a cell where that leads; `.` is `503 5.5.1`. HELO, EHLO and LHLO are\n\
             Hello; NOOP, HELP, VRFY and EXPN are Aside.\n\n",
        );
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut head = vec!["from".to_owned()];
        head.extend(STEPS.iter().map(|step| format!("{step:?}")));
        page.push_str(&row(head));
        page.push_str(&row(vec!["---".to_owned(); STEPS.len() + 1]));
        for state in STATES {
            let mut cells = vec![format!("**{state:?}**")];
            cells.extend(
                STEPS
                    .iter()
                    .map(|&step| after(state, step).map_or(".".to_owned(), |next| format!("{next:?}"))),
            );
            page.push_str(&row(cells));
        }
        page
    }

    /// With PYMTA_DRAW set, the page is written instead of compared.
    #[test]
    fn the_page_in_docs_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/smtp-order.md");
        if std::env::var_os("PYMTA_DRAW").is_some() {
            std::fs::write(path, drawn()).unwrap();
        }
        assert_eq!(drawn(), std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn nothing_leads_out_of_closing() {
        assert!(STEPS.iter().all(|&step| after(State::Closing, step).is_none()));
    }

    #[test]
    fn content_is_reached_only_with_a_recipient() {
        for state in STATES {
            let by_data = after(state, Step::Data).is_some();
            assert_eq!(state == State::HasForwardPath, by_data, "{state:?}");
        }
    }
}
