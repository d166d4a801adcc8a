//! Numbers that follow from a seed and a name.

use std::time::Duration;

/// Numbers that follow from a seed and a name.
pub struct Luck(u64);

impl Luck {
    pub fn of(seed: u64, name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub fn is_one_of(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub fn span(&mut self) -> Duration {
        Duration::from_millis(match self.below(8) {
            0 => 0,
            1..5 => self.below(400),
            5 | 6 => self.below(9_000),
            _ => self.below(300_000),
        })
    }
}
