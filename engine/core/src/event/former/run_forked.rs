//! Structs of former schemas: the moment at which a copied history becomes a run. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::event::parts::{EffectLimits, Origin};
use everfold_base::actor::Actor;
use everfold_base::id::{RunId, StepId};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;

/// [`crate::event::RunForked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked1 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
}

/// [`crate::event::RunForked`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked2 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
}

/// [`crate::event::RunForked`], schema 3: with who is behind it, and without limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked3 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
}

/// [`crate::event::RunForked`], schema 4: with limits; its actor alone is behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked4 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) effects: Option<EffectLimits>,
}

/// [`crate::event::RunForked`], schema 5: with limits and who is behind it; what it cuts off counts as a try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked5 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
    pub(crate) effects: Option<EffectLimits>,
}

/// [`crate::event::RunForked`], schema 6: with all but the items that are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked6 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
    pub(crate) effects: Option<EffectLimits>,
    pub(crate) keeps_tries: bool,
}

/// [`crate::event::RunForked`], schema 7: with all but what is left of spans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked7 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
    pub(crate) effects: Option<EffectLimits>,
    pub(crate) keeps_tries: bool,
    pub(crate) keeps_items: Vec<StepId>,
}

/// [`crate::event::RunForked`], schema 8: with all but the moment that is continued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked8 {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
    pub(crate) effects: Option<EffectLimits>,
    pub(crate) keeps_tries: bool,
    pub(crate) keeps_items: Vec<StepId>,
    pub(crate) keeps_spans: bool,
}

/// [`crate::event::RunForked`], all of it: the bytes of the newest schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForkedWhole {
    pub(crate) run: RunId,
    pub(crate) origin: Origin,
    pub(crate) definition: Hash,
    pub(crate) input: Payload,
    pub(crate) config: Option<Payload>,
    pub(crate) from_step: Option<StepId>,
    pub(crate) reset: Vec<StepId>,
    pub(crate) title: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) until_step: Option<StepId>,
    pub(crate) initiator: Option<Actor>,
    pub(crate) effects: Option<EffectLimits>,
    pub(crate) keeps_tries: bool,
    pub(crate) keeps_items: Vec<StepId>,
    pub(crate) keeps_spans: bool,
    pub(crate) continued_at: Option<Timestamp>,
}
