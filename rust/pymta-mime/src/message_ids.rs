//! Message identifiers (RFC 5322 §3.6.4), as threading compares them.

/// Identifiers longer than this are cut off: they are only compared.
const ID_OCTETS_MAX: usize = 1000;

/// The identifiers in a Message-ID, In-Reply-To or References, unquoted, without brackets, at most `ids_max` from the
/// begin. What stands between them (old In-Reply-To fields held phrases) is passed over.
pub fn message_ids(value: &[u8], ids_max: usize) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    let mut rest = value;
    while ids.len() < ids_max {
        let Some(begin) = memchr::memchr(b'<', rest) else {
            break;
        };
        rest = &rest[begin + 1..];
        let Some(end) = memchr::memchr(b'>', rest) else {
            break;
        };
        // "<a <b@c>" begins anew.
        let begin = memchr::memrchr(b'<', &rest[..end]).map_or(0, |at| at + 1);
        let id = unquoted(&rest[begin..end]);
        rest = &rest[end + 1..];
        if memchr::memchr(b'@', &id).is_some() {
            ids.push(id);
        }
    }
    ids
}

/// Without white space, and as if no part were quoted: `"a"@b` is `a@b` (RFC 5256 §3 asks for it).
fn unquoted(id: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(id.len().min(ID_OCTETS_MAX));
    let mut escaped = false;
    for &octet in id {
        match octet {
            _ if escaped => {
                escaped = false;
                out.push(octet);
            }
            b'\\' => escaped = true,
            b'"' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => out.push(octet),
        }
        if out.len() == ID_OCTETS_MAX {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_and_normalised() {
        let ids = message_ids(
            b"Your mail <\"01KF8JCEOCBS0045PS\"@xxx.yyy.com> of <a@b>\r\n <x <c@d> <nothing> <e@f",
            10,
        );
        assert_eq!(
            vec![
                b"01KF8JCEOCBS0045PS@xxx.yyy.com".to_vec(),
                b"a@b".to_vec(),
                b"c@d".to_vec()
            ],
            ids
        );
        assert_eq!(2, message_ids(&b"<a@b>".repeat(10), 2).len());
    }
}
