//! The grammar against the examples of the RFCs, and what it refuses.

use super::*;
use crate::asked::Enabled;
use crate::capability::Extensions;
use crate::command::*;

fn grammar() -> Grammar {
    Grammar {
        enabled: Enabled {
            qresync: true,
            condstore: true,
            ..Enabled::default()
        },
        extensions: Extensions::all(),
    }
}

fn parsed(line: &str) -> Parsed<Line> {
    command(format!("a {line}").as_bytes(), grammar(), false).1
}

fn mailbox_command(line: &str) -> Command {
    match parsed(line) {
        Ok(Line::Mailbox(_, tagged)) => {
            assert_eq!("a", tagged.tag);
            assert_eq!(line.starts_with("UID "), tagged.by_uid);
            tagged.command
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn ranges(ranges: &[(u32, u32)]) -> SequenceSet {
    SequenceSet::Ranges(ranges.to_vec())
}

#[test]
fn select_has_its_parameters() {
    assert_eq!(
        mailbox_command("SELECT inbox (QRESYNC (67890007 20050715194045000 41,43:211,214:541))"),
        Command::Select {
            mailbox: "INBOX".to_owned(),
            read_only: false,
            condstore: false,
            qresync: Some(Qresync {
                uid_validity: 67_890_007,
                modseq: 20_050_715_194_045_000,
                known_uids: Some(ranges(&[(41, 41), (43, 211), (214, 541)])),
                match_data: None,
            }),
        }
    );
    let Command::Select { qresync, .. } = mailbox_command(
        "SELECT INBOX (CONDSTORE QRESYNC (67890007 90060115194045000 1:29997 (5000,7500 15000,22500)))",
    ) else {
        panic!();
    };
    assert_eq!(
        Some((
            ranges(&[(5000, 5000), (7500, 7500)]),
            ranges(&[(15_000, 15_000), (22_500, 22_500)])
        )),
        qresync.unwrap().match_data
    );
    for line in [
        "SELECT",
        "SELECT ",
        "SELECT \"\"",
        "SELECT a b",
        "SELECT a ()",
        "SELECT a (X)",
        "SELECT a (QRESYNC (1 2 *))",
    ] {
        assert_eq!(Err(Flaw::Syntax), parsed(line), "{line}");
    }
}
