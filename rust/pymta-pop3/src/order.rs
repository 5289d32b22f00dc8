//! Which step leads where (RFC 1939 §3). This file is the only one that may name a next state; a refused command never
//! reaches it and so changes nothing, but for a refused login, after which the name is to be given anew.
//!
//! A test draws this table into `docs/pop3-order.md`.

/// Where a session is, without what it knows there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has logged in.
    Authorization,
    /// USER was given.
    Named,
    /// A maildrop is open.
    Transaction,
    /// Nothing is read any more.
    Closing,
}

/// What can happen: a command that is accepted, or a login that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// CAPA and LANG: answered, and nothing else.
    Aside,
    StartTls,
    Utf8,
    User,
    Pass,
    Auth,
    LoginRefused,
    /// STAT, LIST, UIDL, RETR, TOP, DELE, RSET, NOOP.
    Mail,
    Quit,
}

/// The state after `step`, or None where the step has no place.
pub(crate) fn after(state: State, step: Step) -> Option<State> {
    use {State::*, Step::*};
    Some(match (state, step) {
        (Closing, _) => return None,
        (_, Quit) => Closing,
        (same, Aside) => same,
        (Authorization | Named, StartTls) => Authorization, // what was said in the clear is forgotten, RFC 2595 §4
        (Authorization | Named, Utf8) => state,             // not in the transaction state, RFC 6856 §2
        (Authorization | Named, User) => Named,
        (Named, Pass) => Transaction,
        (Authorization | Named, Auth) => Transaction,
        (Authorization | Named, LoginRefused) => Authorization,
        (Transaction, Mail) => Transaction,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 4] = [
        State::Authorization,
        State::Named,
        State::Transaction,
        State::Closing,
    ];

    const STEPS: [Step; 9] = [
        Step::Aside,
        Step::StartTls,
        Step::Utf8,
        Step::User,
        Step::Pass,
        Step::Auth,
        Step::LoginRefused,
        Step::Mail,
        Step::Quit,
    ];

    fn drawn() -> String {
        let mut page = String::from(
            "# Order of POP3 commands\n\n\
             Drawn from `rust/pymta-pop3/src/order.rs` by its test; do not edit. A row is where the session is, a column\n\
             what is accepted or happens, a cell where that leads; `.` is `-ERR`. CAPA and LANG are Aside; STAT, LIST,\n\
             UIDL, RETR, TOP, DELE, RSET and NOOP are Mail.\n\n",
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
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pop3-order.md");
        if std::env::var_os("PYMTA_DRAW").is_some() {
            std::fs::write(path, drawn()).unwrap();
        }
        assert_eq!(drawn(), std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn mail_is_reached_only_by_a_login() {
        for state in STATES {
            for step in STEPS {
                let opens = after(state, step) == Some(State::Transaction) && state != State::Transaction;
                assert_eq!(
                    opens,
                    matches!((state, step), (State::Named, Step::Pass))
                        || (matches!(state, State::Authorization | State::Named) && step == Step::Auth),
                    "{state:?} {step:?}"
                );
            }
        }
        assert!(STEPS.iter().all(|&step| after(State::Closing, step).is_none()));
    }
}
