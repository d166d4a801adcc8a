//! Runs as traces, sent by OTLP over HTTP in its JSON form to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.
//!
//! Law: a trace is made of the log, as a read model is. Ids are derived: the trace's is the run's, a span's follows from
//! what it is of. So an engine that takes over a run goes on with the same trace, and what is sent twice is the same
//! span. An append never waits for it; a collector that is away costs spans, never a run.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::envelope::{Envelope, flag};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::store::{EventStore, ReadError};
use everfold_engine::time::Timestamp;
use lru::LruCache;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::fold::RunTrace;
use super::requests::RequestSpans;
use super::send::{Collector, SpanSender};
use super::span::TraceSpan;
use crate::event_follower::EventFollower;
use crate::settings::GenAiConventions;

/// Runs whose open spans are remembered; of another one its history is read again.
const RUNS_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How often spans go out.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// What ended so shortly before this engine began may not have been sent: it goes again.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// Events before the end of the log that are looked at for that.
const LOOKED_BACK: u64 = 10_000;
/// Events that are read at once.
const PAGE: usize = 1_000;
/// How long the end is held up for the last spans.
const END: Duration = Duration::from_secs(3);

/// The task that sends.
pub(super) struct Tracing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Tracing {
    /// Begins to send what is recorded from here on, and what ended just before.
    pub(super) fn begin(
        store: Arc<dyn EventStore>,
        requests: Arc<RequestSpans>,
        collector: Collector,
        genai: GenAiConventions,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let follower = TraceFollower {
            store,
            requests,
            sender: SpanSender::new(collector),
            runs: LruCache::new(RUNS_MAX),
            genai,
            since: Timestamp(clock::now().0 - i64::try_from(AGAIN_WITHIN.as_millis()).unwrap_or_default()),
            of_runs: Vec::new(),
            ended: VecDeque::new(),
        };
        Self { stop, task: tokio::spawn(follower.run(stopping)) }
    }

    /// Sends what is left, and ends.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(END, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// Resolves when the end is near.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // With the sender gone it is, too.
    let _is_wanted = stopping.wait_for(|stop| *stop).await.is_ok();
}

struct TraceFollower {
    store: Arc<dyn EventStore>,
    requests: Arc<RequestSpans>,
    sender: SpanSender,
    runs: LruCache<RunId, RunTrace>,
    genai: GenAiConventions,
    /// What ended before is with the collector already.
    since: Timestamp,
    /// Runs themselves, and their beginnings: they wait for a moment, because the request that started one may not be
    /// known yet.
    of_runs: Vec<TraceSpan>,
    /// Runs that ended, and since when they are with the collector: the next engine may send them again.
    ended: VecDeque<(Stopwatch, RunId)>,
}

impl TraceFollower {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let from = Position(self.store.last_position().0.saturating_sub(LOOKED_BACK)).next();
        let mut events = EventFollower::from(Arc::clone(&self.store), from);
        let mut reached = from;
        let mut ticks = tokio::time::interval(FLUSH_EVERY);
        loop {
            let is_at_end = reached >= self.store.last_position();
            tokio::select! {
                biased;
                () = stopped(&mut stopping), if is_at_end => break,
                _ = ticks.tick() => self.flush().await,
                batch = events.next() => match batch {
                    Some(batch) => {
                        for envelope in batch {
                            reached = envelope.position;
                            if let Err(error) = self.see(&envelope).await {
                                tracing::warn!(%error, "an event is in no trace");
                            }
                        }
                    }
                    None => break,
                },
            }
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        for mut span in std::mem::take(&mut self.of_runs) {
            if let Some(run) = span.run {
                if let Some(remote) = self.requests.of(run) {
                    span.link(&remote);
                }
                self.ended.extend((!span.is_begin).then(|| (Stopwatch::start(), run)));
            }
            self.sender.put(span);
        }
        self.sender.flush().await;
        while let Some((since, run)) = self.ended.front()
            && since.elapsed() > AGAIN_WITHIN * 2
        {
            self.requests.forget(*run);
            self.ended.pop_front();
        }
    }

    async fn see(&mut self, envelope: &Envelope) -> Result<(), ReadError> {
        let header = &envelope.header;
        let Some(run) = header.stream.as_run() else { return Ok(()) };
        // Former runs are read again where something happens to them.
        if header.flags & flag::FORMER != 0 || header.recorded_at < self.since {
            return Ok(());
        }
        let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else { return Ok(()) };
        if !RunTrace::concerns(&event) {
            return Ok(());
        }
        if !self.runs.contains(&run) {
            let trace = self.read(run, header.version).await?;
            self.runs.put(run, trace);
        }
        let Some(trace) = self.runs.get_mut(&run) else { return Ok(()) };
        let spans = trace.apply(&event, header.recorded_at, &header.actor);
        if matches!(event, RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_)) {
            self.runs.pop(&run);
        }
        self.take(spans);
        Ok(())
    }

    fn take(&mut self, spans: Vec<TraceSpan>) {
        for span in spans {
            match span.run {
                Some(_) => self.of_runs.push(span),
                None => self.sender.put(span),
            }
        }
    }

    /// The run as it stands before an event. What ended of it just before this engine began goes again.
    async fn read(&mut self, run: RunId, before: Version) -> Result<RunTrace, ReadError> {
        let mut trace = RunTrace::new(run, self.genai);
        let stream = everfold_engine::envelope::StreamId::run(run);
        let mut next = Version::FIRST;
        while next < before {
            let wanted = PAGE.min(usize::try_from(before.0 - next.0).unwrap_or(PAGE));
            let page = self.store.read(&stream, next, wanted).await?;
            let Some(last) = page.last() else { break };
            next = last.header.version.next();
            for envelope in page {
                let header = &envelope.header;
                let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else {
                    continue;
                };
                let is_copied = header.flags & flag::COPIED != 0;
                if is_copied {
                    trace.take_over(&event, header.recorded_at, &header.actor);
                    continue;
                }
                let spans = trace.apply(&event, header.recorded_at, &header.actor);
                if header.recorded_at >= self.since {
                    self.take(spans);
                }
            }
        }
        Ok(trace)
    }
}
