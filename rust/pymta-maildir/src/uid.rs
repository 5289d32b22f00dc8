//! The unique-id of a message (RFC 1939 §7): the part of its file's name that no rename changes, where it can be sent,
//! and a hash of it where it cannot.

/// RFC 1939 §7.
const OCTETS_MAX: usize = 70;

/// What stands before a hash: no name of a message file begins so, because they begin with a number.
const MARK: char = 'h';

/// The unique-id for a unique name.
pub(crate) fn of(unique: &str) -> String {
    let can_be_sent =
        (1..=OCTETS_MAX).contains(&unique.len()) && unique.bytes().all(|octet| octet.is_ascii_graphic());
    if can_be_sent {
        unique.to_owned()
    } else {
        hashed(unique)
    }
}

/// The hash, as a unique-id. FNV-1a with 128 bits: the same in every version and on every machine; nobody but who writes
/// into the mailbox chooses names, so it need not withstand an attacker.
pub(crate) fn hashed(name: &str) -> String {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = name.bytes().fold(BASIS, |hash, octet| {
        (hash ^ u128::from(octet)).wrapping_mul(PRIME)
    });
    format!("{MARK}{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_be_sent_is_its_own_unique_id() {
        for name in [
            "1764061234.M123456P4711Q17.mail.example.test",
            "a",
            &"x".repeat(70),
        ] {
            assert_eq!(name, of(name));
        }
        for name in ["", "a b", "ü", &"x".repeat(71)] {
            assert_eq!(33, of(name).len(), "{name}");
            assert!(of(name).starts_with(MARK));
        }
    }

    /// What clients remember must not change with a version. The first value is the algorithm's own test vector.
    #[test]
    fn a_hash_is_the_same_for_ever() {
        assert_eq!("h6c62272e07bb014262b821756295c58d", hashed(""));
        assert_eq!("hd228cb696f1a8caf78912b704e4a8964", hashed("a"));
    }
}
