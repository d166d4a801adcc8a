//! The settings of the scheduler: resources, fairness, rates, breakers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::StartError;
use everfold_base::id::RunId;
use everfold_core::state::RunState;
use everfold_language::definition::{self, Definition, NeededResource, NestedPipeline, similar};
use everfold_ports::Service;

/// The order in which attempts and probes that wait are started, and what they wait for beside a place
/// among all work in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderConfig {
    /// How many attempts may hold each resource at once.
    pub resources: BTreeMap<String, usize>,
    /// The groups among which places are shared out evenly.
    pub fair_by: FairBy,
    /// How often attempts may start that call upon a service. The name `*` is for each name of its kind
    /// that has no policy of its own.
    pub rates: BTreeMap<Service, RatePolicy>,
    /// When a service is left alone. The name `*` as for rates.
    pub breakers: BTreeMap<Service, BreakerPolicy>,
}

impl OrderConfig {
    /// Refuses a definition whose attempts would wait for a resource that is not there. A run that has
    /// begun is never refused: where a later engine does not know its resource, it waits and says so.
    pub(crate) fn knows_resources_of(
        &self,
        definition: &Definition,
        nested: &[NestedPipeline],
    ) -> Result<(), StartError> {
        let mut needed = definition::resources(definition, nested);
        let Some(NeededResource { step, name }) =
            needed.find(|needed| !self.resources.contains_key(needed.name))
        else {
            return Ok(());
        };
        let known = || self.resources.keys().map(String::as_str);
        Err(StartError::UnknownResource {
            step,
            name: name.to_owned(),
            near: similar(name, known()).map(str::to_owned),
            known: known().map(str::to_owned).collect(),
        })
    }
}

/// The groups among which places are shared out evenly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FairBy {
    /// Between runs.
    #[default]
    Run,
    /// Between pipelines.
    Pipeline,
    /// Between the values of a label; runs without it count as one.
    Label(String),
    /// No fairness: first come, first served.
    Nobody,
}

impl FairBy {
    /// The group that the work of a run is counted to.
    pub(crate) fn group(&self, run: RunId, state: &RunState) -> Arc<str> {
        match self {
            Self::Run => run.to_string().into(),
            Self::Pipeline => state.pipeline().into(),
            Self::Label(name) => state.labels().get(name).map_or("", String::as_str).into(),
            Self::Nobody => "".into(),
        }
    }
}

impl std::fmt::Display for FairBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::Pipeline => f.write_str("pipeline"),
            Self::Label(name) => write!(f, "label:{name}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl std::str::FromStr for FairBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "run" => Ok(Self::Run),
            "pipeline" => Ok(Self::Pipeline),
            "nobody" => Ok(Self::Nobody),
            other => match other.strip_prefix("label:") {
                Some(name) if !name.is_empty() => Ok(Self::Label(name.to_owned())),
                _no_label => {
                    Err(format!("“{other}” is none of `run`, `pipeline`, `label:NAME` and `nobody`"))
                }
            },
        }
    }
}

/// How often attempts may start: a bucket of `burst` starts that fills up again with `starts` in each `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// How many start in each span, in the long run; at least 1.
    pub starts: u32,
    /// The span.
    pub per: Duration,
    /// How many may start at once after a quiet time; at least 1.
    pub burst: u32,
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Outages in a row that open the breaker; 0: it never opens.
    pub failures: u32,
    /// How long it stays open at first; twice as long each time it opens again without a success between.
    pub pause: Duration,
    /// The longest that it stays open.
    pub pause_max: Duration,
}

/// The policy of a service: its own, else that of its kind.
pub(crate) fn policy_of<'a, P>(
    policies: &'a BTreeMap<Service, P>,
    service: &Service,
) -> Option<(&'a P, bool)> {
    if let Some(own) = policies.get(service) {
        return Some((own, true));
    }
    policies.get(&Service::any_of(&service.kind)).map(|policy| (policy, false))
}
