//! A segment file as readable lines, as a start would see it: which records count, what is damaged, where it ends.
//!
//! Reads only, needs no lock, and may run beside a server, whose newest records may then look torn. Line by line it is
//! for people; nothing may be built on it.

use std::io;
use std::path::Path;

use pymta_types::SpoolId;

use crate::codec::{HELD_DUE_MS, MessageHead, decode_chunk_head, decode_done, decode_envelope};
use crate::format::{DATA_OFFSET, Kind, SLOT_OCTETS, SegmentHeader, SegmentState, Slot};
use crate::scan::{Found, Range, scan};
use crate::status::StatusRecord;
use crate::storage::{DiskFile, SegmentFile};

/// The lines of a segment file: its headers, its records in order, and what was found beside them.
///
/// # Errors
/// What the system says about reading the file.
pub fn dump_segment(path: &Path) -> io::Result<Vec<String>> {
    dump(&DiskFile::open_to_read(path)?)
}

fn dump(file: &dyn SegmentFile) -> io::Result<Vec<String>> {
    let mut octets = vec![0; DATA_OFFSET as usize];
    let read = file.read_at(0, &mut octets)?;
    let mut lines = Vec::new();
    let mut newest: Option<SegmentHeader> = None;
    for (number, slot) in octets[..read].chunks(SLOT_OCTETS).enumerate() {
        let text = match SegmentHeader::decode(slot) {
            Slot::Later(version) => format!("of version {version}, unknown to this program"),
            Slot::Invalid => "not valid".to_owned(),
            Slot::Valid(header) => {
                let text = describe(&header);
                if newest.as_ref().is_none_or(|n| n.generation < header.generation) {
                    newest = Some(header);
                }
                text
            }
        };
        lines.push(format!("header {number}: {text}"));
    }
    let Some(header) = newest else {
        lines.push("no valid header: a start would look at the records themselves".to_owned());
        return Ok(lines);
    };
    if header.state == SegmentState::Free {
        lines.push("free: whatever records it holds are of the past".to_owned());
    }
    let range = Range {
        number: header.number,
        salt: header.salt,
        end_max: u32::MAX,
        known_end: None,
    };
    let scanned = scan(file, &range, &mut |record| lines.push(line(&record)))?;
    for (from, to) in scanned.damaged {
        lines.push(format!("damaged: octets {from} to {to}"));
    }
    if scanned.torn_octets > 0 {
        lines.push(format!(
            "torn: {} octets of an unfinished batch",
            scanned.torn_octets
        ));
    }
    lines.push(format!(
        "end: {} records up to octet {}",
        scanned.records, scanned.end
    ));
    Ok(lines)
}

fn describe(header: &SegmentHeader) -> String {
    let state = match header.state {
        SegmentState::Active => "active",
        SegmentState::Free => "free",
    };
    format!(
        "{state} number={} generation={} id_floor={} octets={} before={}@{} cuts={:?}",
        header.number,
        header.generation,
        SpoolId(header.id_floor),
        header.segment_octets,
        header.before.0,
        header.before.1,
        header.cuts,
    )
}

fn line(record: &Found<'_>) -> String {
    let (offset, header) = (record.at.offset, &record.header);
    let said = match header.kind {
        Kind::Message => message(record.head),
        Kind::Chunk => decode_chunk_head(record.head)
            .ok()
            .map(|(stream, at)| format!("chunk stream={stream} at={at} octets={}", header.tail_octets())),
        Kind::Status => status(record.head),
        Kind::Done => decode_done(record.head).ok().map(|tombstones| {
            let ended = tombstones
                .iter()
                .map(|t| format!(" {}@{}", SpoolId(t.id), t.segment));
            format!("done{}", ended.collect::<String>())
        }),
    };
    let said = said.unwrap_or_else(|| format!("{:?} that makes no sense", header.kind));
    format!(
        "{offset:>10} batch={} span={} {said}",
        header.batch,
        header.span()
    )
}

fn message(head: &[u8]) -> Option<String> {
    let head = MessageHead::decode(head).ok()?;
    let envelope = decode_envelope(head.envelope).ok()?;
    let reverse_path = envelope
        .reverse_path
        .map_or(String::new(), |path| path.to_string());
    let due = if head.due_ms == HELD_DUE_MS {
        "hold".to_owned()
    } else {
        head.due_ms.to_string()
    };
    Some(format!(
        "message {} due={due} reverse_path=<{reverse_path}> recipients={} group={} header={} body={} chunks={}",
        SpoolId(head.id),
        head.recipient_count,
        head.group,
        head.header_section.len(),
        head.body_octets,
        head.extents.len(),
    ))
}

fn status(head: &[u8]) -> Option<String> {
    let record = StatusRecord::decode(head).ok()?;
    let mut text = format!(
        "status {} due={} attempts={} {}{} group={}",
        SpoolId(record.id),
        record.due_ms,
        record.attempts,
        if record.is_snapshot { "snapshot" } else { "delta" },
        if record.held { " hold" } else { "" },
        record.group,
    );
    for entry in record.entries().ok()? {
        let last = entry.index.saturating_add(entry.run - 1);
        // Replies came from peers: escaped, so that they cannot drive a terminal.
        text.push_str(&format!(
            " [{}-{last} {} {:?}]",
            entry.index,
            entry.state.as_str(),
            entry.reply
        ));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimDisk;
    use crate::storage::Storage;
    use crate::tests::{NOW, commit, content, open, small, steps, take};
    use crate::{Note, Outcome};

    #[test]
    fn every_kind_of_record_has_its_line() {
        let disk = SimDisk::new(1);
        let spool = open(&disk, small());
        commit(&spool, &["a@example.test"], &content(9000), Some(NOW));
        commit(&spool, &["b@example.test"], &content(10), Some(NOW));
        steps(&spool);
        let note = |outcome, reply| Note {
            index: 0,
            outcome,
            reply,
        };
        let message = take(&spool, NOW).unwrap();
        spool
            .settle(message.id, &[note(Outcome::Delivered, "250 ok")], NOW)
            .unwrap();
        let message = take(&spool, NOW).unwrap();
        spool
            .settle(message.id, &[note(Outcome::Deferred, "451 \x1b[31m")], NOW)
            .unwrap();
        spool.finish();
        let lines = dump(&*disk.open(1).unwrap()).unwrap();
        let text = lines.join("\n");
        for expected in [
            "header 1: active number=1 generation=1",
            "chunk stream=1 at=4096 octets=",
            "body=9000 chunks=3",
            "group=example.test header=",
            "[0-0 deferred \"451 \\u{1b}[31m\"]",
            "done 1",
            "end: 8 records",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(dump(&*disk.open(2).unwrap()).unwrap().concat().contains("free"));
    }
}
