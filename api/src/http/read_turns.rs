//! Turns of reads while their answers are made.
//!
//! Law: an answer is in memory before its size is known, so only so many of a caller, and of all, are made at once.
//! What is made has its bytes reserved before the turn ends ([`super::byte_reservation`]).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;

use crate::access::Caller;
use crate::caller_turns::{CallerTurn, CallerTurns, TurnBounds};
use crate::fault::{Code, Fault};

/// Reads whose answers are made at once, and requests of one caller that wait for that.
const READS: TurnBounds = TurnBounds { all: 64, own: 8, asked: 1_000 };

/// The turns of a node's routes; in the extensions of requests.
#[derive(Debug, Clone)]
pub(super) struct ReadTable(Arc<CallerTurns>);

impl Default for ReadTable {
    fn default() -> Self {
        Self(Arc::new(CallerTurns::new(READS)))
    }
}

/// The turns of one request. In its extensions where it waits for the end of a run: it has no turn meanwhile, and takes
/// one when its answer is made.
#[derive(Clone)]
pub(super) struct ReadTurns {
    table: ReadTable,
    who: String,
    /// It was let in, and waits for the end of a run.
    has_waited: bool,
}

impl ReadTurns {
    /// The turns of a read that needs one: of a known caller, below `/api/`.
    pub(super) fn of(request: &Request, route: &str) -> Option<Self> {
        let table = request.extensions().get::<ReadTable>()?.clone();
        let caller = request.extensions().get::<Caller>().filter(|caller| caller.role.is_some())?;
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        (is_read && route.starts_with("/api/v1/")).then(|| Self {
            table,
            who: caller.actor.to_string(),
            has_waited: false,
        })
    }

    /// Whether a request waits for the end of a run before its answer is made.
    pub(super) fn are_taken_later(request: &Request, route: &str) -> bool {
        route == "/api/v1/runs/{run}" && request.uri().query().is_some_and(|query| query.contains("wait="))
    }

    /// The same for a request that takes its turn when it has waited: all that wait for one run ask for theirs together.
    pub(super) fn after_waiting(self) -> Self {
        Self { has_waited: true, ..self }
    }

    /// Waits for the request's turn.
    pub(super) async fn turn(&self) -> Result<CallerTurn<'_>, Fault> {
        let turn = match self.has_waited {
            true => self.table.0.turn_of_waiter(&self.who).await,
            false => self.table.0.turn(&self.who).await,
        };
        turn.ok_or_else(|| {
            let what = format!("{} reads of this caller wait to be answered already", READS.asked);
            Fault::new(Code::Busy, what).hint("ask for fewer at once").retry_after(Duration::from_secs(1))
        })
    }
}
