//! What never comes to an end is a failure with a name, and no test that hangs.
//!
//! Whatever goes round asks the store something. What asks it more often than any plan does gets no
//! answer any more, so that the others come to their turn, and the plan fails.

use std::future::pending;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::plan::Plan;

/// Reads and appends while no time passes. Five hundred plans had at most a hundred.
const AT_ONCE_MAX: u64 = 20_000;
/// Reads and appends of a plan. Five hundred plans had at most 17,000.
const ALL_MAX: u64 = 200_000;
/// How long a plan may go on, by its own calendar.
const SPAN_MAX: Duration = Duration::from_secs(400 * 24 * 3_600);
/// How long a plan may be played by the wall's clock; most take some milliseconds.
const REAL_MAX: Duration = Duration::from_secs(300);

/// Counts what a plan asks of its store.
#[derive(Default)]
pub struct LivelockGuard {
    asked: Mutex<Asked>,
    is_found: Notify,
}

#[derive(Default)]
struct Asked {
    now: Option<Instant>,
    at_once: u64,
    all: u64,
    what: Option<String>,
}

impl LivelockGuard {
    /// Something is asked. It is not answered where there is no end to it.
    pub async fn count(&self, what: impl FnOnce() -> String) {
        if self.is_one_too_many(what) {
            self.is_found.notify_one();
            pending().await
        }
    }

    fn is_one_too_many(&self, what: impl FnOnce() -> String) -> bool {
        let mut asked = self.asked.lock().unwrap();
        let now = Some(Instant::now());
        if asked.now != now {
            (asked.now, asked.at_once) = (now, 0);
        }
        (asked.at_once, asked.all) = (asked.at_once + 1, asked.all + 1);
        let bound = match (asked.at_once > AT_ONCE_MAX, asked.all > ALL_MAX) {
            (true, _) => format!("{AT_ONCE_MAX} times while no time passed"),
            (_, true) => format!("{ALL_MAX} times"),
            (false, false) => return false,
        };
        asked.what.get_or_insert_with(|| format!("livelock: the store is asked {bound}, last: {}", what()));
        true
    }

    /// Resolves, with the law that does not hold, when something has no end.
    pub async fn found(&self) -> String {
        tokio::select! {
            biased;
            () = self.is_found.notified() => {}
            () = tokio::time::sleep(SPAN_MAX) => {}
        }
        let what = self.asked.lock().unwrap().what.clone();
        what.unwrap_or_else(|| {
            format!("livelock: it goes on for more than {} days", SPAN_MAX.as_secs() / 86_400)
        })
    }
}

/// Ends the test when a plan loops without a store and without virtual time: no other thread can stop that
/// one, so the process exits and names the plan.
pub struct Watchdog {
    _play_is_over: mpsc::Sender<()>,
}

impl Watchdog {
    /// A plan is played: that of the seed, or one that it was made smaller to.
    pub fn of(seed: u64, plan: Plan) -> Self {
        let (play_is_over, over) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if over.recv_timeout(REAL_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
                let span = REAL_MAX.as_secs();
                eprintln!("seed {seed}: livelock: the plan goes on for more than {span} s\n{plan}");
                std::process::exit(101);
            }
        });
        Self { _play_is_over: play_is_over }
    }
}
