//! Which steps lie before which.

/// For each step the set of those that it needs, directly or not.
#[derive(Debug, Default)]
pub(in super::super) struct Upstream {
    words: usize,
    bits: Vec<u64>,
}

impl Upstream {
    /// Computes the sets. `order` lists steps after those that they need.
    pub(super) fn new(needs: &[Vec<usize>], order: &[usize]) -> Self {
        let words = needs.len().div_ceil(64);
        let mut upstream = Self { words, bits: vec![0; words * needs.len()] };
        for &step in order {
            for &need in &needs[step] {
                for word in 0..words {
                    let above = upstream.bits[need * words + word];
                    upstream.bits[step * words + word] |= above;
                }
                upstream.bits[step * words + need / 64] |= 1 << (need % 64);
            }
        }
        upstream
    }

    /// Whether `step` needs `other`, directly or not.
    pub(in super::super) fn contains(&self, step: usize, other: usize) -> bool {
        self.bits.get(step * self.words + other / 64).is_some_and(|word| word & (1 << (other % 64)) != 0)
    }
}
