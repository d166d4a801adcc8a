//! Events of signals.

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{Hearing, SignalDecision, SignalEnd, SignalTaker};
use everfold_base::id::Version;
use everfold_base::json::Payload;

event_payloads! {
    /// A signal came. Fact of `signal`.
    ///
    /// Then: `SignalTaken` by each step, wait or gate that listens; it may be kept for later ones.
    SignalReceived {
        /// Its name.
        name: String,
        /// What it says.
        payload: Payload,
        /// The delivery that it came with; a repeated one is no news.
        delivery: Option<String>,
    }
    /// A signal was heard.
    ///
    /// Then: the wait ends, the route of `on_signal` is taken, or the gate is judged.
    SignalTaken [former::SignalTaken1, unless has_no_reason] then [former::SignalTaken2, unless decides_nothing]
        whole former::SignalTakenWhole {
        /// The version of its `SignalReceived`.
        signal: Version,
        /// What took it.
        by: SignalTaker,
        /// What became of it there.
        how: Hearing,
        /// Its route ends the run.
        ends: Option<SignalEnd>,
        /// Why nothing follows, where its taker says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What it decides, where its route ends the run or fails the step; none in those that former versions made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<SignalDecision>,
    }
}
