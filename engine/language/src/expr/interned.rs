//! Compiled expressions in use, by their texts. A pipeline repeats few texts many times, and its versions have nearly all of
//! them in common: what is compiled is kept once, and compiled once while it is kept.
//!
//! Law: what is found is what compiling the text gives; nothing is kept alive from here.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::compiled::{CompiledExpr, Expr};

/// So many entries are never looked through for what is no longer in use.
const SWEEP_FROM: usize = 1_024;

struct Interned {
    by_text: HashMap<Arc<str>, Weak<CompiledExpr>>,
    /// With so many entries those that are no longer in use leave.
    sweep_at: usize,
}

static INTERNED: LazyLock<Mutex<Interned>> =
    LazyLock::new(|| Mutex::new(Interned { by_text: HashMap::new(), sweep_at: SWEEP_FROM }));

fn interned() -> MutexGuard<'static, Interned> {
    INTERNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The expression of a text, where one is in use.
pub(super) fn find(source: &str) -> Option<Expr> {
    interned().by_text.get(source)?.upgrade().map(Expr)
}

/// Keeps an expression for as long as it is in use; what another thread compiled meanwhile wins.
pub(super) fn keep(compiled: CompiledExpr) -> Expr {
    let mut interned = interned();
    if let Some(there) = interned.by_text.get(&compiled.source).and_then(Weak::upgrade) {
        return Expr(there);
    }
    let kept = Arc::new(compiled);
    interned.by_text.insert(Arc::clone(&kept.source), Arc::downgrade(&kept));
    if interned.by_text.len() >= interned.sweep_at {
        interned.by_text.retain(|_text, kept| kept.strong_count() > 0);
        // Twice what is in use, so that each entry is looked at about once for each that comes.
        interned.sweep_at = SWEEP_FROM.max(interned.by_text.len() * 2);
    }
    Expr(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_compiled_and_kept_once() {
        let one = Expr::parse("input.kept_once + 1").unwrap();
        let same = Expr::parse("input.kept_once + 1").unwrap();
        assert!(Arc::ptr_eq(&one.0, &same.0));
        let other = Expr::parse("input.kept_once + 2").unwrap();
        assert!(!Arc::ptr_eq(&one.0, &other.0));
    }

    #[test]
    fn what_is_no_longer_in_use_leaves() {
        drop(Expr::parse("input.leaves_soon").unwrap());
        assert!(find("input.leaves_soon").is_none());
        for number in 0..10 * SWEEP_FROM {
            drop(Expr::parse(&format!("input.leaves + {number}")).unwrap());
        }
        let kept = interned().by_text.keys().filter(|text| text.starts_with("input.leaves + ")).count();
        assert!(kept < 5 * SWEEP_FROM, "{kept} texts of expressions that nobody has");
    }
}
