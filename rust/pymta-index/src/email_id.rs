//! Which content a message has (EMAILID, RFC 8474): made of its file's unique name when it is seen first, so that it is
//! the same after the index was lost, and kept by copies.

use crate::ObjectId;

/// FNV-1a with 128 bits: the same in every version. Who writes into the mailbox chooses names, so it need not withstand
/// an attacker.
pub(crate) fn of(unique_name: &str) -> ObjectId {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    ObjectId(unique_name.bytes().fold(BASIS, |hash, octet| {
        (hash ^ u128::from(octet)).wrapping_mul(PRIME)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What clients remember must not change with a version. The values are the algorithm's own test vectors.
    #[test]
    fn an_id_is_the_same_for_ever() {
        assert_eq!("6c62272e07bb014262b821756295c58d", of("").to_string());
        assert_eq!("d228cb696f1a8caf78912b704e4a8964", of("a").to_string());
    }
}
