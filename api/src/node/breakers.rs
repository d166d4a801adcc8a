//! Resets of breakers by people.

use everfold_engine::actor::Actor;
use everfold_engine::aggregate_store::AggregateError;
use everfold_engine::breaker_resets::{BreakerEvent, BreakerReset, REASON_BYTES_MAX, Reset};
use everfold_engine::driver::BreakerStand;
use everfold_engine::execution::Service;
use everfold_engine::id::Position;

use super::handle::Node;
use crate::fault::{Code, Fault};

impl Node {
    /// Closes a breaker. The reset is recorded first, so that the log explains why attempts start again.
    ///
    /// # Errors
    /// There is no such breaker, or the store takes no writes.
    pub(crate) async fn reset_breaker(
        &self,
        service: &Service,
        reason: Option<String>,
        actor: Actor,
    ) -> Result<Position, Fault> {
        self.may_write()?;
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            let message = format!("reason: it is over the limit of {REASON_BYTES_MAX} bytes");
            return Err(Fault::new(Code::TooLarge, message));
        }
        let name = service.to_string();
        let unknown = || {
            Fault::new(Code::NoBreaker, format!("there is no breaker {name}"))
                .hint("`everfold limits` lists those that there are")
        };
        let line = self.engine.line();
        let known = line.breakers.iter().find(|breaker| breaker.service == name).ok_or_else(unknown)?;
        let is_news = known.state != BreakerStand::Closed || known.failures > 0;
        let reset = BreakerReset { service: name.clone(), failures: known.failures, reason };
        let event = BreakerEvent::BreakerReset(reset);
        let change =
            self.resets.change(actor, None, |_, _| Ok::<_, AggregateError>(is_news.then_some(event))).await?;
        if self.engine.reset_breaker(service) { Ok(change.position) } else { Err(unknown()) }
    }

    /// The newest resets, newest first.
    pub(crate) async fn breaker_resets(&self) -> Result<Vec<Reset>, Fault> {
        Ok(self.resets.current().await?.newest().cloned().collect())
    }
}
