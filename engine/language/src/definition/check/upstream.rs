//! Which steps lie before which.

use super::super::Join;
use super::tolerated::may_be_tolerated;
use crate::definition::read::StepDraft;

/// For each step the set of those that it needs, directly or not.
#[derive(Debug, Default)]
pub(in super::super) struct Upstream {
    words: usize,
    bits: Vec<u64>,
    /// Those of them that have ended when it starts; where no step joins any, these are all.
    certain: Option<Vec<u64>>,
    /// Steps that are passed over where what they need ends without success.
    passed_over: Vec<bool>,
}

impl Upstream {
    /// Computes the sets. `order` lists steps after those that they need.
    pub(super) fn new(drafts: &[StepDraft], needs: &[Vec<usize>], order: &[usize]) -> Self {
        let words = needs.len().div_ceil(64);
        let mut bits = vec![0; words * needs.len()];
        for &step in order {
            for &need in &needs[step] {
                for word in 0..words {
                    let above = bits[need * words + word];
                    bits[step * words + word] |= above;
                }
                bits[step * words + need / 64] |= 1 << (need % 64);
            }
        }
        let any = |step: usize| drafts[step].step.join == Join::Any && needs[step].len() > 1;
        let certain = (0..needs.len()).any(any).then(|| {
            let mut certain = vec![0; words * needs.len()];
            for &step in order {
                for (nth, &need) in needs[step].iter().enumerate() {
                    for word in 0..words {
                        let own = if word == need / 64 { 1 << (need % 64) } else { 0 };
                        let above = certain[need * words + word] | own;
                        let held: &mut u64 = &mut certain[step * words + word];
                        *held = if nth == 0 || !any(step) { *held | above } else { *held & above };
                    }
                }
            }
            certain
        });
        let mut passed_over = vec![false; needs.len()];
        for &step in order {
            passed_over[step] = match drafts[step].step.join {
                Join::Done => false,
                Join::Any => may_all_be_without_success(drafts, &needs[step], &passed_over),
                Join::Succeeded => {
                    needs[step].iter().any(|&need| may_be_without_success(drafts, need, &passed_over))
                }
            };
        }
        Self { words, bits, certain, passed_over }
    }

    /// Whether `step` needs `other`, directly or not.
    pub(in super::super) fn contains(&self, step: usize, other: usize) -> bool {
        self.bits.get(step * self.words + other / 64).is_some_and(|word| word & (1 << (other % 64)) != 0)
    }

    /// Whether a step may be skipped because of how what it needs ended.
    pub(in super::super) fn may_be_passed_over(&self, step: usize) -> bool {
        self.passed_over.get(step).copied().unwrap_or_default()
    }

    /// Whether `other` has ended, whatever happened, when `step` starts.
    pub(in super::super) fn is_certain(&self, step: usize, other: usize) -> bool {
        let bits = self.certain.as_ref().unwrap_or(&self.bits);
        bits.get(step * self.words + other / 64).is_some_and(|word| word & (1 << (other % 64)) != 0)
    }
}

/// Whether a step may end without success in a run that goes on.
fn may_be_without_success(drafts: &[StepDraft], at: usize, passed_over: &[bool]) -> bool {
    let step = &drafts[at].step;
    step.when.is_some() || step.standby || passed_over[at] || may_be_tolerated(&drafts[at]).is_some()
}

/// Whether some steps may all end without success in one run. Those that only a `when` skips may be each
/// other's alternatives: they count where there is one condition among them.
fn may_all_be_without_success(drafts: &[StepDraft], steps: &[usize], passed_over: &[bool]) -> bool {
    let mut condition = None;
    !steps.is_empty()
        && steps.iter().all(|&at| {
            let when = &drafts[at].step.when;
            let is_free = passed_over[at] || may_be_tolerated(&drafts[at]).is_some();
            is_free || (when.is_some() && *condition.get_or_insert(when) == when)
        })
}
