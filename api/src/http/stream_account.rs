//! The account of what is queued for the readers of streams.
//!
//! Law: each chunk is reserved among the answers of its caller, from when it is queued until it is written to the
//! connection. A caller whose readers leave its part untaken gets no further stream, and a stream for whose next chunk there
//! is no room ends: nothing is kept for it meanwhile.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::byte_reservation::{ByteReservation, ByteTable, Full, Reservations, SMALL};
use crate::access::Caller;
use crate::fault::Fault;

/// What a queued chunk takes beside its bytes.
const CHUNK_BYTES: usize = 256;

/// The account of one stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamAccount {
    /// The reservations of answers, and the caller's of no bytes; `None`: the routes are called without the layers of a node.
    answers: Option<(ByteTable, Option<Caller>)>,
}

impl<S: Sync> FromRequestParts<S> for StreamAccount {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let table = parts.extensions.get::<Reservations>().map(|reservations| reservations.answers.clone());
        let caller = parts.extensions.get::<Caller>().cloned();
        Ok(Self { answers: table.map(|table| (table, caller)) })
    }
}

impl StreamAccount {
    fn room(&self) -> Option<ByteReservation> {
        self.answers.as_ref().map(|(table, caller)| table.room(caller.as_ref()))
    }

    /// Refuses a further stream where there is no room for a chunk of any usual size: what streams before it leave, each of
    /// which found no room for its next chunk, is less than that.
    pub(super) fn may_begin(&self) -> Result<(), Fault> {
        match self.room() {
            Some(mut room) => room.grow(SMALL).map_err(Full::of_answers),
            None => Ok(()),
        }
    }

    /// The chunk with its reservation, which lasts as long as any part of the chunk is kept.
    pub(super) fn reserved(&self, chunk: Bytes) -> Result<Bytes, Full> {
        let Some(mut room) = self.room() else { return Ok(chunk) };
        room.grow(chunk.len() + CHUNK_BYTES)?;
        Ok(room.over(chunk))
    }
}

#[cfg(test)]
impl StreamAccount {
    /// Over a table of its own.
    pub(super) fn of(reservations: &Reservations, caller: Caller) -> Self {
        Self { answers: Some((reservations.answers.clone(), Some(caller))) }
    }
}
