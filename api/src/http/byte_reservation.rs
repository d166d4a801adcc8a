//! Bounds on the memory of bodies and answers: bodies that come in, and answers that their readers have not taken yet.
//!
//! Law: the server keeps no more than a bound for all callers together and for each of them, whatever requests they
//! begin and do not end, so no caller keeps the others out. Small bodies and answers have room of their own beyond
//! these bounds. Callers at this machine count against the bound of all alone, and may use the room of small ones.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use super::document::Uncompressed;
use crate::access::Caller;
use crate::fault::{Code, Fault};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The largest body or answer that counts as small.
pub(super) const SMALL: usize = 64 * KIB;
/// The bounds of bodies and of answers, each.
const BOUNDS: ByteBounds =
    ByteBounds { all: 256 * MIB, own: 64 * MIB, all_spare: 64 * MIB, own_spare: 16 * MIB };
/// Bytes of an answer that are handed to its connection at a time.
const PIECE: usize = 64 * KIB;

/// The bounds of the bytes that are kept at once.
#[derive(Debug, Clone, Copy)]
struct ByteBounds {
    /// Of all callers together.
    all: usize,
    /// Of one caller.
    own: usize,
    /// Beyond `all`, for small ones.
    all_spare: usize,
    /// Beyond `own`, for small ones.
    own_spare: usize,
}

/// The reservations of a node's routes; in the extensions of requests.
#[derive(Debug, Clone)]
pub(super) struct Reservations {
    /// For bodies that come in.
    pub(super) bodies: ByteTable,
    /// For answers that are not taken yet.
    pub(super) answers: ByteTable,
}

impl Default for Reservations {
    fn default() -> Self {
        Self { bodies: ByteTable::new(BOUNDS), answers: ByteTable::new(BOUNDS) }
    }
}

/// The bytes that are reserved, by caller.
#[derive(Debug, Clone)]
pub(super) struct ByteTable {
    bounds: ByteBounds,
    taken: Arc<Mutex<BytesInUse>>,
}

#[derive(Debug, Default)]
struct BytesInUse {
    all: usize,
    of: HashMap<String, usize>,
}

/// Reserved bytes of a body or an answer; dropping it gives them back.
#[derive(Debug)]
pub(super) struct ByteReservation {
    table: ByteTable,
    /// `None`: it counts against the bound of all alone.
    who: Option<String>,
    bytes: usize,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The caller's.
    Own,
    /// That of all callers together.
    All,
}

impl ByteTable {
    fn new(bounds: ByteBounds) -> Self {
        Self { bounds, taken: Arc::default() }
    }

    /// A reservation of a caller, of no bytes yet.
    pub(super) fn room(&self, caller: Option<&Caller>) -> ByteReservation {
        let who = caller.filter(|caller| !caller.local).map(|caller| caller.actor.to_string());
        ByteReservation { table: self.clone(), who, bytes: 0 }
    }
}

impl ByteReservation {
    /// Reserves more bytes.
    pub(super) fn grow(&mut self, by: usize) -> Result<(), Full> {
        let ByteBounds { all, own, all_spare, own_spare } = self.table.bounds;
        let is_small = self.bytes.saturating_add(by) <= SMALL;
        let all = if is_small || self.who.is_none() { all + all_spare } else { all };
        let own = if is_small { own + own_spare } else { own };
        let mut taken = self.table.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = self.who.as_ref().and_then(|who| taken.of.get(who)).copied().unwrap_or_default();
        if self.who.is_some() && has.saturating_add(by) > own {
            return Err(Full::Own);
        }
        if taken.all.saturating_add(by) > all {
            return Err(Full::All);
        }
        taken.add(self.who.as_ref(), by);
        self.bytes += by;
        Ok(())
    }

    /// Reserves bytes also beyond the caller's bound, where the caller has none reserved.
    fn grow_alone(&mut self, by: usize) -> Result<(), Full> {
        let mut taken = self.table.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if self.who.as_ref().is_some_and(|who| taken.of.contains_key(who)) {
            return Err(Full::Own);
        }
        if taken.all.saturating_add(by) > self.table.bounds.all {
            return Err(Full::All);
        }
        taken.add(self.who.as_ref(), by);
        self.bytes += by;
        Ok(())
    }

    /// Reserves bytes also beyond the bounds.
    fn insist(&mut self, by: usize) {
        self.table.taken.lock().unwrap_or_else(PoisonError::into_inner).add(self.who.as_ref(), by);
        self.bytes += by;
    }

    /// The bytes that all callers have reserved, and those of one.
    #[cfg(test)]
    pub(super) fn in_use(table: &ByteTable, who: &Caller) -> (usize, usize) {
        let taken = table.taken.lock().unwrap();
        (taken.all, taken.of.get(&who.actor.to_string()).copied().unwrap_or_default())
    }

    /// Bytes that hold this reservation as long as any part of them is kept.
    pub(super) fn over(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(ReservedBytes { bytes, _room: self })
    }
}

impl BytesInUse {
    fn add(&mut self, who: Option<&String>, by: usize) {
        self.all += by;
        if let Some(who) = who {
            *self.of.entry(who.clone()).or_default() += by;
        }
    }
}

impl Drop for ByteReservation {
    fn drop(&mut self) {
        let mut taken = self.table.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.bytes;
        let Some(who) = &self.who else { return };
        let Some(own) = taken.of.get_mut(who) else { return };
        *own -= self.bytes;
        if *own == 0 {
            taken.of.remove(who);
        }
    }
}

struct ReservedBytes<T> {
    bytes: T,
    _room: ByteReservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for ReservedBytes<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Full {
    /// The fault of a body for which there is no room.
    pub(super) fn of_bodies(self) -> Fault {
        let mib = self.mib();
        let what = match self {
            Self::Own => format!("bodies of this caller of {mib} MiB are on their way already"),
            Self::All => format!("bodies of all callers of {mib} MiB are on their way already"),
        };
        busy(what, "send it again a little later, and fewer at once; bodies of 64 KiB find room meanwhile")
    }

    /// What waits, where it is answers.
    pub(super) fn waiting_answers(self) -> String {
        let mib = self.mib();
        match self {
            Self::Own => format!("answers of {mib} MiB wait for this caller to take them"),
            Self::All => format!("answers of {mib} MiB wait for their callers to take them"),
        }
    }

    /// The fault of an answer for which there is no room.
    pub(super) fn of_answers(self) -> Fault {
        busy(
            self.waiting_answers(),
            "take the answers that were asked for, or ask for less at once: `limit` of a list",
        )
    }

    fn mib(self) -> usize {
        match self {
            Self::Own => BOUNDS.own / MIB,
            Self::All => BOUNDS.all / MIB,
        }
    }
}

fn busy(what: String, hint: &str) -> Fault {
    Fault::new(Code::Busy, what).hint(hint).retry_after(Duration::from_secs(1))
}

/// The reservation for an answer until its reader has taken it.
pub(super) struct AnswerReservation {
    room: Option<ByteReservation>,
    may_be_refused: bool,
}

impl AnswerReservation {
    /// The reservation for the answer to a request. An answer to a write is never refused: the write is done.
    pub(super) fn of(request: &Request) -> Self {
        let rooms = request.extensions().get::<Reservations>();
        let room = rooms.map(|rooms| rooms.answers.room(request.extensions().get::<Caller>()));
        Self { room, may_be_refused: request.method() == Method::GET }
    }

    /// The answer with its reserved bytes, or a fault where they do not fit. A small answer reserves none: connections
    /// are bounded.
    pub(super) async fn answered(self, response: Response) -> Response {
        // The document is in memory once for all of its readers.
        if response.extensions().get::<Uncompressed>().is_some() {
            return response;
        }
        let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let (Some(mut room), Some(size)) = (self.room, size.filter(|size| *size > SMALL)) else {
            return response;
        };
        let granted = match room.grow(size) {
            // An answer over the caller's bound would be refused for ever.
            Err(Full::Own) if size > BOUNDS.own => room.grow_alone(size),
            other => other,
        };
        match granted {
            Err(full) if self.may_be_refused => return full.of_answers().into_response(),
            Err(_full) => room.insist(size),
            Ok(()) => {}
        }
        let (head, body) = response.into_parts();
        match body.collect().await {
            Ok(collected) => Response::from_parts(head, Body::new(Pieces(room.over(collected.to_bytes())))),
            Err(error) => Fault::new(Code::Internal, error.to_string()).into_response(),
        }
    }
}

/// A body that is handed over in pieces, so that a connection buffers no more of it than its reader takes.
struct Pieces(Bytes);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let size = self.0.len().min(PIECE);
        Poll::Ready((size > 0).then(|| Ok(Frame::data(self.0.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use everfold_engine::actor::Actor;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller { actor: Actor::Token(name.into()), local: false, ..Caller::local("") }
    }

    #[test]
    fn one_caller_takes_its_share_all_take_theirs_and_what_is_small_finds_room() {
        let table = ByteTable::new(BOUNDS);
        let (large, callers) = (4 * MIB, ["a", "b", "c", "d"]);
        let mut rooms = Vec::new();
        for name in callers {
            for _ in 0..BOUNDS.own / large {
                let mut room = table.room(Some(&caller(name)));
                room.grow(large).unwrap();
                rooms.push(room);
            }
            assert_eq!(table.room(Some(&caller(name))).grow(large), Err(Full::Own));
        }
        let (ada, late) = (Caller::local("ada"), caller("late"));
        assert_eq!(table.room(Some(&late)).grow(large), Err(Full::All), "all have taken theirs");
        assert_eq!(table.room(Some(&ada)).grow(large), Ok(()), "the folder's own user is not kept out");
        for who in [&caller("a"), &late] {
            let mut room = table.room(Some(who));
            assert_eq!(room.grow(SMALL), Ok(()), "what is small is not held up");
            assert!(room.grow(1).is_err(), "what was small and grows is large");
        }
        for _ in 0..BOUNDS.own_spare / SMALL {
            let mut room = table.room(Some(&caller("a")));
            room.grow(SMALL).unwrap();
            rooms.push(room);
        }
        assert_eq!(table.room(Some(&caller("a"))).grow(1), Err(Full::Own), "the spare room has a bound, too");
        assert_eq!(table.room(Some(&caller("b"))).grow(1), Ok(()));
        drop(rooms);
        let taken = table.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.of.is_empty(), "all is given back: {taken:?}");
    }

    #[tokio::test]
    async fn a_large_answer_has_room_until_its_last_piece_is_taken_and_further_reads_are_refused() {
        let rooms = Reservations::default();
        let ask = |method: Method| {
            let request = Request::builder().method(method).extension(rooms.clone()).extension(caller("a"));
            AnswerReservation::of(&request.body(Body::empty()).unwrap())
        };
        let answer = || Response::new(Body::from(vec![b'x'; 16 * MIB]));
        let mut open = Vec::new();
        for _ in 0..4 {
            let answer = ask(Method::GET).answered(answer()).await;
            assert_eq!((answer.status().as_u16(), answer.body().size_hint().exact()), (200, Some(16 << 20)));
            open.push(answer.into_body());
        }
        let refused = ask(Method::GET).answered(answer()).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        assert_eq!(ask(Method::POST).answered(answer()).await.status(), 200, "what was done is answered");
        let small = Response::new(Body::from(vec![b'x'; SMALL]));
        assert_eq!(ask(Method::GET).answered(small).await.status(), 200);
        let taken = open.pop().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(taken.len(), 16 * MIB);
        drop(taken);
        assert_eq!(ask(Method::GET).answered(answer()).await.status(), 200, "it was taken");
        drop(open);
        assert_eq!(rooms.answers.taken.lock().unwrap().all, 0);
    }

    #[tokio::test]
    async fn an_answer_over_the_callers_bound_is_given_to_a_caller_that_has_no_other() {
        let rooms = Reservations::default();
        let ask = || {
            let request = Request::builder().extension(rooms.clone()).extension(caller("a"));
            AnswerReservation::of(&request.body(Body::empty()).unwrap())
        };
        let answer = |bytes: usize| Response::new(Body::from(vec![b'x'; bytes]));
        let large = ask().answered(answer(BOUNDS.own + 1)).await;
        assert_eq!(large.status(), 200);
        assert_eq!(ask().answered(answer(BOUNDS.own + 1)).await.status(), 503, "one at a time");
        drop(large);
        let small = ask().answered(answer(MIB)).await;
        assert_eq!(ask().answered(answer(BOUNDS.own + 1)).await.status(), 503, "another waits to be taken");
        drop(small);
        assert_eq!(ask().answered(answer(BOUNDS.own + 1)).await.status(), 200);
    }
}
