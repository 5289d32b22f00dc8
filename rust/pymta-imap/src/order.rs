//! Which step leads where (RFC 9051 §3). This file is the only one that may name a next state; a refused command never
//! reaches it and so changes nothing.
//!
//! A test draws this table into `docs/imap-order.md`.

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has.
    Authenticated,
    /// And a mailbox is selected.
    Selected,
    /// Nothing is read any more.
    Logout,
}

/// What can happen: a command that is accepted, or what became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// CAPABILITY, ID, NOOP: at any time.
    Aside,
    StartTls,
    Login,
    LoginRefused,
    /// ENABLE, COMPRESS.
    Enable,
    Idle,
    /// Commands about mailboxes, APPEND among them.
    Mailboxes,
    /// Commands about the selected mailbox and its messages.
    Messages,
    /// A command has left a mailbox selected.
    Selects,
    /// A command has left none.
    Deselects,
    Logout,
}

/// The state after `step`, or None where the step has no place.
pub(crate) fn after(state: State, step: Step) -> Option<State> {
    use {State::*, Step::*};
    Some(match (state, step) {
        (State::Logout, _) => return None,
        (_, Step::Logout) => State::Logout,
        (same, Aside) => same,
        (NotAuthenticated, StartTls | LoginRefused) => NotAuthenticated,
        (NotAuthenticated, Login) => Authenticated,
        (NotAuthenticated, _) => return None,
        (same, Enable | Idle | Mailboxes) => same,
        (Selected, Messages) => Selected,
        (_, Selects) => Selected,
        (_, Deselects) => Authenticated,
        _ => return None,
    })
}

/// The step that a command of that name is; None where there is no such command.
pub(crate) fn step_of(name: &str) -> Option<Step> {
    Some(match name {
        "CAPABILITY" | "ID" | "NOOP" => Step::Aside,
        "STARTTLS" => Step::StartTls,
        "LOGIN" | "AUTHENTICATE" => Step::Login,
        "ENABLE" | "COMPRESS" => Step::Enable,
        "IDLE" => Step::Idle,
        "LOGOUT" => Step::Logout,
        "SELECT" | "EXAMINE" | "CREATE" | "DELETE" | "RENAME" | "SUBSCRIBE" | "UNSUBSCRIBE" | "LIST"
        | "LSUB" | "STATUS" | "NAMESPACE" | "APPEND" | "GETQUOTA" | "GETQUOTAROOT" | "SETQUOTA"
        | "GETMETADATA" | "SETMETADATA" | "GETACL" | "SETACL" | "DELETEACL" | "LISTRIGHTS" | "MYRIGHTS"
        | "NOTIFY" => Step::Mailboxes,
        "CHECK" | "CLOSE" | "UNSELECT" | "EXPUNGE" | "FETCH" | "STORE" | "COPY" | "MOVE" | "SEARCH"
        | "CANCELUPDATE" | "SORT" | "THREAD" | "REPLACE" => Step::Messages,
        _ => match name.strip_prefix("UID ")? {
            "EXPUNGE" | "FETCH" | "STORE" | "COPY" | "MOVE" | "SEARCH" | "SORT" | "THREAD" | "REPLACE" => {
                Step::Messages
            }
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 4] = [
        State::NotAuthenticated,
        State::Authenticated,
        State::Selected,
        State::Logout,
    ];

    const STEPS: [Step; 11] = [
        Step::Aside,
        Step::StartTls,
        Step::Login,
        Step::LoginRefused,
        Step::Enable,
        Step::Idle,
        Step::Mailboxes,
        Step::Messages,
        Step::Selects,
        Step::Deselects,
        Step::Logout,
    ];

    fn drawn() -> String {
        let mut page = String::from(
            "# Order of IMAP commands\n\n\
             Drawn from `rust/pymta-imap/src/order.rs` by its test; do not edit. A row is where the session is, a column\n\
             what is accepted or happens, a cell where that leads; `.` is `BAD`. CAPABILITY, ID and NOOP are Aside; ENABLE\n\
             and COMPRESS are Enable; SELECT, LIST, STATUS, APPEND and what else is about mailboxes is Mailboxes; FETCH,\n\
             STORE, CLOSE and what else is about the selected one is Messages. Selects and Deselects are what a command\n\
             has led to.\n\n",
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
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/imap-order.md");
        if std::env::var_os("PYMTA_DRAW").is_some() {
            std::fs::write(path, drawn()).unwrap();
        }
        assert_eq!(drawn(), std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn mailboxes_are_reached_only_by_a_login() {
        for step in STEPS {
            let next = after(State::NotAuthenticated, step);
            let opens = matches!(next, Some(State::Authenticated | State::Selected));
            assert_eq!(opens, step == Step::Login, "{step:?}");
            assert_eq!(None, after(State::Logout, step));
        }
    }
}
