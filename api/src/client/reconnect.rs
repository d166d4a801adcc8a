//! The pauses before a stream that broke is asked for again.
//!
//! Law: a stream that breaks each time at once is asked for ever more seldom, so that neither side is busy with nothing
//! but that.

use std::time::Duration;

/// The first pause: an owner that went leaves its folder to the next one within it.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the next connection is waited with.
pub(super) struct Reconnect {
    pause: Duration,
}

impl Reconnect {
    pub(super) fn new() -> Self {
        Self { pause: PAUSE_MIN }
    }

    /// The stream gave something that was not had before.
    pub(super) fn goes_on(&mut self) {
        self.pause = PAUSE_MIN;
    }

    /// Waits before the next connection.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_breaks_each_time_at_once_is_asked_for_ever_more_seldom() {
        let (mut reconnect, begun) = (Reconnect::new(), tokio::time::Instant::now());
        let mut connections = 0;
        while begun.elapsed() < Duration::from_secs(60) {
            reconnect.wait().await;
            connections += 1;
        }
        assert!((30..50).contains(&connections), "{connections}");
        reconnect.goes_on();
        let begun = tokio::time::Instant::now();
        reconnect.wait().await;
        assert!(begun.elapsed() <= PAUSE_MIN * 2);
    }
}
