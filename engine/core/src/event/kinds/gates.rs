//! Events of gates: their probes and verdicts.

use super::super::declare::event_payloads;
use super::super::former;
use crate::policy::Verdict;
use everfold_base::id::AttemptId;
use everfold_base::json::{Hash, Payload};

event_payloads! {
    /// A gate is to be judged on evidence.
    ///
    /// Then: the prober collects evidence and reports it.
    ProbeScheduled {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of its first probe; polls go on counting.
        probe_no: u32,
        /// The prober.
        kind: String,
        /// Its parameters, rendered: `{spec, env}`.
        task: Payload,
    }
    /// A gate was judged. Fact of `probe finished`, where it is the first of its batch.
    ///
    /// Then: the next gate, the success of the step, or the route of the verdict.
    GateEvaluated {
        /// The attempt that was judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe; 0 where none was needed.
        probe_no: u32,
        /// What was found.
        evidence: Payload,
        /// The policy: a CEL text, or `default:KIND`.
        policy: String,
        /// BLAKE3 of that text.
        policy_hash: Hash,
        /// The version of the evaluator.
        evaluator: u32,
        /// What it says.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// The findings for a rework; `None`: reason and evidence.
        findings: Option<Payload>,
        /// How long the probe took.
        took_ms: u64,
        /// The gate's own code.
        code: Option<String>,
        /// It failed, and its route says `next`: a warning, and on to the next gate.
        tolerated: bool,
    }
    /// Evidence could not be had. Fact of `probe failed`.
    ///
    /// Then: the probe is tried again, or its failure is the verdict.
    ProbeFailed [former::ProbeFailed1, unless is_sound] {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What happened.
        message: String,
        /// Asking again cannot help.
        permanent: bool,
        /// How long the probe took.
        took_ms: u64,
        /// The gate itself cannot be judged: an expression of it failed, its policy for example.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        broken: bool,
    }
}
