//! The poison guard: work whose reading ends the engine is not taken up for ever.
//!
//! What comes from outside (reports, heads of documents, outputs of processes) is read inside the engine's
//! process, and a reader that overflows its stack or takes all memory ends that process, and every one after
//! it that takes the work up again. So a small file says while something is read that it is in hand. Where
//! the file is there already, the engine came to an abnormal end with it in hand.
//!
//! Law: after so many abnormal ends in a row it is not taken up any more. Reading it to an end takes the
//! file away, so ends that had other causes are not counted together; another version of Everfold counts
//! anew, because it may read what the former could not. The file guards: where it cannot be written, the
//! work is read without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_engine::execution::{ProbeFailure, ProbeRequest, Prober, Service};
use everfold_engine::json::{Hash, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// After so many abnormal ends in a row a piece of work is left alone.
const ENDS_MAX: u32 = 3;
/// The file in the folder of an attempt.
pub(crate) const IN_HAND: &str = "in-hand";
/// Whose counts these are.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Something is in hand; let go of, it was read to an end.
pub(crate) struct Held(Option<PathBuf>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(path = %path.display(), %error, "what was in hand is still said to be");
        }
    }
}

/// Takes something in hand.
///
/// # Errors
/// Why it is left alone: it was in hand at too many abnormal ends.
pub(crate) fn take(path: &Path, what: &str) -> Result<Held, String> {
    let ends = match std::fs::read_to_string(path) {
        Ok(text) => ends_of(&text) + 1,
        Err(_not_there) => 0,
    };
    if ends >= ENDS_MAX {
        return Err(format!(
            "{what} was being read at {ends} abnormal ends of the engine in a row, so it is left alone; look at what it \
             left, and cancel the run with --force, or go on with another version of everfold"
        ));
    }
    let kept = std::fs::write(path, format!("{VERSION} {ends}\n"));
    Ok(Held(kept.is_ok().then(|| path.to_owned())))
}

/// Abnormal ends that a file counts, of this version; those of another one do not count, nor does this one.
fn ends_of(text: &str) -> u32 {
    match text.trim().split_once(' ') {
        Some((VERSION, ends)) => ends.parse().unwrap_or(0),
        _of_another_version_or_cut_short => 0,
    }
}

/// A prober that reads files inside the engine's process.
pub(crate) struct InHand {
    inner: Arc<dyn Prober>,
    folder: PathBuf,
}

impl InHand {
    /// Guards a prober; what is in hand is said in this folder.
    pub(crate) fn new(inner: Arc<dyn Prober>, folder: PathBuf) -> Self {
        Self { inner, folder }
    }
}

impl Prober for InHand {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (inner, folder) = (Arc::clone(&self.inner), self.folder.clone());
        async move {
            let what = format!("probe {} of gate {} of {}", request.probe_no, request.gate, request.id);
            let name = Hash::of(format!("{}/{what}", request.folder.display()).as_bytes()).to_string();
            let taking = tokio::task::spawn_blocking(move || {
                let _made_or_unguarded = std::fs::create_dir_all(&folder);
                take(&folder.join(&name[..32]), &what)
            });
            let held = match taking.await {
                Ok(Ok(held)) => held,
                Ok(Err(poison)) => return Err(ProbeFailure::permanent(poison)),
                Err(error) => return Err(ProbeFailure::passing(error.to_string())),
            };
            let result = inner.probe(request).await;
            drop(held);
            result
        }
        .boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.inner.services(spec)
    }

    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        self.inner.cancel(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_38_what_was_in_hand_at_three_abnormal_ends_in_a_row_is_not_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IN_HAND);
        let dies_with_it = || std::mem::forget(take(&path, "attempt a/1/1").unwrap());
        (0..3).for_each(|_| dies_with_it());
        for _ in 0..2 {
            let poison = take(&path, "attempt a/1/1").err().expect("it is left alone");
            assert!(poison.contains("attempt a/1/1") && poison.contains("3 abnormal ends"), "{poison}");
        }
        // Another version tries again.
        std::fs::write(&path, "0.0.0-other 9\n").unwrap();
        assert!(take(&path, "attempt a/1/1").is_ok());
    }

    #[test]
    fn row_38_ends_that_are_not_in_a_row_do_not_count_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IN_HAND);
        for _ in 0..5 {
            std::mem::forget(take(&path, "x").unwrap());
            std::mem::forget(take(&path, "x").unwrap());
            drop(take(&path, "x").unwrap());
            assert!(!path.exists(), "it was read to an end");
        }
        // Where nothing can be written, it is read all the same.
        assert!(take(&folder.path().join("none/in-hand"), "x").is_ok());
    }
}
