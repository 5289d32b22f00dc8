//! What arrived and is not read yet: a buffer with a read position.
//!
//! Rule: taking n octets off costs O(n) over a session's life and never a copy of what is behind them each time.

/// Above this an empty buffer is given back: ten thousand idle connections must not each keep a full one.
const KEPT_OCTETS_MAX: usize = 256;
/// Read octets are moved out only when there are so many, and more than unread ones.
const COMPACT_OCTETS_MIN: usize = 16 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Input {
    octets: Vec<u8>,
    read: usize,
}

impl Input {
    /// Takes what arrived.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// What is unread.
    pub fn rest(&self) -> &[u8] {
        &self.octets[self.read..]
    }

    /// Whether all of it is read.
    pub fn is_empty(&self) -> bool {
        self.read == self.octets.len()
    }

    /// So many octets of `rest` are read.
    pub fn consume(&mut self, octets: usize) {
        self.read += octets;
        if self.is_empty() {
            self.clear();
        } else if self.read >= COMPACT_OCTETS_MIN && self.read * 2 >= self.octets.len() {
            self.octets.drain(..self.read);
            self.read = 0;
        }
    }

    /// Forgets what is unread.
    pub fn clear(&mut self) {
        self.read = 0;
        self.octets.clear();
        self.octets.shrink_to(KEPT_OCTETS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_in_order() {
        let mut input = Input::default();
        let octets: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        input.push(&octets);
        let mut seen = Vec::new();
        while !input.is_empty() {
            let step = input.rest().len().min(7);
            seen.extend_from_slice(&input.rest()[..step]);
            input.consume(step);
        }
        assert_eq!(octets, seen);
        assert!(input.octets.capacity() <= KEPT_OCTETS_MAX);
    }

    #[test]
    fn what_was_read_is_given_back_even_if_the_buffer_is_never_empty() {
        let mut input = Input::default();
        input.push(&[0; 10]);
        for _ in 0..1000 {
            input.push(&[0; 1000]);
            input.consume(1000);
        }
        assert_eq!(10, input.rest().len());
        assert!(input.octets.capacity() <= 4 * COMPACT_OCTETS_MIN);
    }
}
