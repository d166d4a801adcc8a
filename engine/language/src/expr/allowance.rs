//! What evaluations may go over and copy: of one expression, or of one expression over many rows together.
//!
//! Law: what an allowance counts only shrinks, so that the work of all evaluations that share it is bounded.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cel::ExecutionError;
use regex::Regex;

use super::patterns::CompiledPatterns;

/// What the loops of one evaluation may go over, in parts of values (a text counts per 64 bytes).
const BUDGET: usize = 200_000;
/// What one evaluation may copy, and compare within loops, in the same parts.
const COPIES: usize = 1_000_000;
/// The parts of expressions that the loops of one evaluation may go through.
const LOOP_NODES: usize = 10_000_000;
/// What compiling a pattern costs, of what one evaluation may copy: about as long as copying so many parts.
const PATTERN: usize = 1_000;

/// What is left to the evaluations that share it. Cheap to clone.
#[derive(Clone)]
pub struct Allowance(Arc<Counters>);

struct Counters {
    budget: AtomicUsize,
    copies: AtomicUsize,
    loop_nodes: AtomicUsize,
    /// Something was asked for that was not left.
    spent: AtomicBool,
    patterns: Mutex<CompiledPatterns>,
}

impl Allowance {
    /// That of one evaluation.
    pub(super) fn of_one() -> Self {
        Self::new(BUDGET, COPIES, LOOP_NODES)
    }

    /// That of all evaluations over the rows of one answer: they take a second or less together.
    #[must_use]
    pub fn of_rows() -> Self {
        Self::new(5 * BUDGET, COPIES, LOOP_NODES / 5)
    }

    fn new(budget: usize, copies: usize, loop_nodes: usize) -> Self {
        Self(Arc::new(Counters {
            budget: AtomicUsize::new(budget),
            copies: AtomicUsize::new(copies),
            loop_nodes: AtomicUsize::new(loop_nodes),
            spent: AtomicBool::new(false),
            patterns: Mutex::default(),
        }))
    }

    /// Whether an evaluation failed for want of it.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0.spent.load(Ordering::Relaxed)
    }

    /// Charges what is gone over.
    pub(super) fn go_over(&self, weight: usize) -> Result<(), ExecutionError> {
        self.charge(&self.0.budget, weight)
    }

    /// What may still be gone over.
    pub(super) fn left_to_go_over(&self) -> usize {
        self.0.budget.load(Ordering::Relaxed)
    }

    /// Charges what is copied.
    pub(super) fn copy(&self, weight: usize) -> Result<(), ExecutionError> {
        self.charge(&self.0.copies, weight)
    }

    /// What may still be copied.
    pub(super) fn left_to_copy(&self) -> usize {
        self.0.copies.load(Ordering::Relaxed)
    }

    /// Charges the parts of an expression that a loop goes through.
    pub(super) fn go_through(&self, nodes: usize) -> Result<(), ExecutionError> {
        self.charge(&self.0.loop_nodes, nodes)
    }

    /// The pattern, compiled: once where few patterns take turns.
    pub(super) fn pattern(&self, pattern: &str) -> Result<Result<Arc<Regex>, String>, ExecutionError> {
        // What is kept is whole after each step, so a panic elsewhere harms nothing.
        let mut patterns = self.0.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        patterns.compiled(pattern, || self.copy(PATTERN))
    }

    /// What is not left is taken as well: a loop goes on behind an error as long as another item may decide it, and each
    /// turn would cost as much as the one that failed.
    fn charge(&self, counter: &AtomicUsize, weight: usize) -> Result<(), ExecutionError> {
        let taken =
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(weight));
        taken.map(drop).map_err(|_| {
            counter.store(0, Ordering::Relaxed);
            self.0.spent.store(true, Ordering::Relaxed);
            let message = "the expression goes over too many values; do this work in a step";
            ExecutionError::function_error("limit", message)
        })
    }
}
