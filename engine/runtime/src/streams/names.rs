//! Gives steps the names that they want, each once in its scope.
//!
//! Law: the stream of a scope has one writer at a time, and a name is durable before the step learns of it: after a
//! crash the same step gets the same name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::deps::Deps;
use crate::streams::folded_stream::{FoldedStream, StreamFold};
use crate::streams::stream_writer::{StoredEvent, StreamError, stored_events};
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{EffectId, RunId, StepPath};
use everfold_core::unique_names::{NAMES_FOLD_VERSION, NameEvent, UniqueNames};
use everfold_ports::{NameFailure, NameRequest, NameWish};

/// Scopes that are kept in memory; more are read again as they are asked for.
const SCOPES_KEPT: usize = 16;
/// How often a name is decided on anew where the outcome of an append is unknown.
const TRIES_MAX: usize = 8;

/// The scopes that were asked for.
#[derive(Default)]
pub(crate) struct NameRegistry {
    scopes: Mutex<HashMap<StreamId, SharedScope>>,
}

type SharedScope = Arc<tokio::sync::Mutex<FoldedStream<UniqueNames>>>;

impl NameRegistry {
    /// Gives the step of an attempt a name, or that which it was given before.
    pub(crate) async fn take(
        &self,
        shared: &Deps,
        id: &EffectId,
        request: &NameRequest,
    ) -> Result<String, NameFailure> {
        let scope = self.scope(UniqueNames::stream(&request.scope));
        let mut stream = scope.lock().await;
        let (run, path, wanted) = (id.run, &id.attempt.path, &request.wanted);
        let store = |error: StreamError| NameFailure::Store(error.to_string());
        for _ in 0..TRIES_MAX {
            let names = stream.current(shared).await.map_err(store)?;
            if let Some(name) = names.given(run, path, wanted.wish()) {
                return Ok(name.to_owned());
            }
            let taken = names.take(run, path, wanted)?;
            match stream.append(shared, taken.into_iter().collect()).await {
                Ok(()) | Err(StreamError::Changed) => {}
                Err(error) => return Err(store(error)),
            }
        }
        Err(store(StreamError::Changed))
    }

    /// Lets a run have the name that the same step of a run before it has, if it has one.
    pub(crate) async fn pass(
        &self,
        shared: &Deps,
        scope: &str,
        (from, to): ((RunId, &str), (RunId, &str)),
        path: &StepPath,
    ) -> Result<(), NameFailure> {
        let scope = self.scope(UniqueNames::stream(scope));
        let mut stream = scope.lock().await;
        let store = |error: StreamError| NameFailure::Store(error.to_string());
        for _ in 0..TRIES_MAX {
            let names = stream.current(shared).await.map_err(store)?;
            let Some(passed) = names.pass(from, to, path) else { return Ok(()) };
            match stream.append(shared, vec![passed]).await {
                Ok(()) | Err(StreamError::Changed) => {}
                Err(error) => return Err(store(error)),
            }
        }
        Err(store(StreamError::Changed))
    }

    /// The name that the step of an attempt was given before for a wish.
    pub(crate) async fn held(
        &self,
        shared: &Deps,
        id: &EffectId,
        wish: &NameWish,
    ) -> Result<Option<String>, NameFailure> {
        let scope = self.scope(UniqueNames::stream(&wish.scope));
        let mut stream = scope.lock().await;
        let names = stream.current(shared).await.map_err(|error| NameFailure::Store(error.to_string()))?;
        Ok(names.given(id.run, &id.attempt.path, &wish.wish).map(str::to_owned))
    }

    fn scope(&self, stream: StreamId) -> SharedScope {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if scopes.len() >= SCOPES_KEPT && !scopes.contains_key(&stream) {
            // One that is in use stays: a stream has one writer.
            scopes.retain(|_, scope| Arc::strong_count(scope) > 1);
        }
        let unread = || Arc::new(tokio::sync::Mutex::new(FoldedStream::unread(stream.clone())));
        Arc::clone(scopes.entry(stream.clone()).or_insert_with(unread))
    }
}

impl StreamFold for UniqueNames {
    type Event = NameEvent;

    const FOLD_VERSION: u32 = NAMES_FOLD_VERSION;

    fn apply(&mut self, event: &NameEvent) {
        Self::apply(self, event);
    }

    fn decode(envelope: &Envelope) -> Result<NameEvent, String> {
        let header = &envelope.header;
        NameEvent::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
    }

    fn stored(events: &[NameEvent]) -> Result<Vec<StoredEvent>, StreamError> {
        stored_events(events, NameEvent::name, NameEvent::encode)
    }

    fn weight(&self) -> usize {
        self.len()
    }
}
