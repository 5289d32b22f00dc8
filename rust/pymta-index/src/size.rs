//! The size of a message on the wire, where its file's name does not say it: counted once.

use std::io::{self, Read};

use pymta_types::UnixMs;

use crate::{IndexError, Mailbox};

const PIECE_OCTETS: usize = 64 << 10;

impl Mailbox {
    /// Counts and keeps the sizes of messages; each comes back with its number. Those that are gone are left out.
    pub(crate) fn count_octets(
        &self,
        wanted: &[(usize, u32)],
        now: UnixMs,
    ) -> Result<Vec<(usize, u64)>, IndexError> {
        let mut counted = Vec::with_capacity(wanted.len());
        for &(at, uid) in wanted {
            if let Some(file) = self.open_file(uid, now)? {
                let octets = wire_octets(file).map_err(IndexError::io("read a message"))?;
                counted.push((at, uid, octets));
            }
        }
        if !counted.is_empty() {
            self.account.write(|transaction| {
                self.state(transaction)?;
                let mut keep = transaction
                    .prepare_cached("UPDATE file SET octets = ?3 WHERE mailbox = ?1 AND uid = ?2")?;
                for &(_, uid, octets) in &counted {
                    keep.execute((self.key, uid, i64::try_from(octets).unwrap_or(i64::MAX)))?;
                }
                Ok(())
            })?;
        }
        Ok(counted.into_iter().map(|(at, _, octets)| (at, octets)).collect())
    }
}

/// The size with every line ending as CRLF.
fn wire_octets(mut file: impl Read) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_OCTETS];
    let (mut octets, mut last) = (0u64, 0u8);
    loop {
        let count = match file.read(&mut piece) {
            Ok(0) => return Ok(octets),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        octets += count as u64;
        for at in memchr::memchr_iter(b'\n', &piece[..count]) {
            let before = if at == 0 { last } else { piece[at - 1] };
            octets += u64::from(before != b'\r');
        }
        last = piece[count - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_ending_counts_as_two_octets() {
        for (content, octets) in [
            ("", 0),
            ("a\nb\n", 6),
            ("a\r\nb\n", 6),
            ("\n\n", 4),
            ("\r", 1),
            ("a\r\r\n", 4),
        ] {
            assert_eq!(octets, wire_octets(content.as_bytes()).unwrap(), "{content:?}");
        }
        let long = "x\n".repeat(PIECE_OCTETS);
        assert_eq!(3 * PIECE_OCTETS as u64, wire_octets(long.as_bytes()).unwrap());
    }
}
