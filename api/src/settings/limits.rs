//! What may start, and who goes first: `[limits]`, `[resources]`, `[breakers]`.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_engine::driver::{BreakerPolicy, FairBy, OrderConfig, RatePolicy};
use everfold_engine::duration;
use everfold_engine::execution::Service;
use serde::Deserialize;

/// Profiles whose breakers are there though no settings name them: services behind a network.
const BREAKERS_OF: [&str; 2] = ["claude", "codex"];

/// What may be in progress at once, over all runs, and how often it may start. More waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Processes of commands and agents.
    pub processes: usize,
    /// Functions.
    pub functions: usize,
    /// Probes of gates.
    pub probes: usize,
    /// By what places are shared out evenly: `run`, `pipeline`, `label:NAME`, or `nobody` for first come, first served.
    pub fair_by: String,
    /// How often agents may start, by profile.
    pub agent: BTreeMap<String, RateSettings>,
    /// How often commands may start, by program.
    pub command: BTreeMap<String, RateSettings>,
    /// How often functions may be called, by name.
    pub function: BTreeMap<String, RateSettings>,
    /// How often requests may be sent, by host.
    pub http: BTreeMap<String, RateSettings>,
    /// How often functions may be called that name a provider.
    pub provider: BTreeMap<String, RateSettings>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            processes: 64,
            functions: 1_024,
            probes: 64,
            fair_by: FairBy::Run.to_string(),
            agent: BTreeMap::new(),
            command: BTreeMap::new(),
            function: BTreeMap::new(),
            http: BTreeMap::new(),
            provider: BTreeMap::new(),
        }
    }
}

impl LimitSettings {
    fn kinds(&self) -> [(&'static str, &BTreeMap<String, RateSettings>); 5] {
        [
            ("agent", &self.agent),
            ("command", &self.command),
            ("function", &self.function),
            ("http", &self.http),
            ("provider", &self.provider),
        ]
    }
}

/// How often something may start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// How many start in each span.
    pub starts: u32,
    /// The span, such as `1m`.
    pub per: String,
    /// How many may start at once after a quiet time; `None`: `starts`.
    #[serde(default)]
    pub burst: Option<u32>,
}

/// When services are left alone for a while, by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerKinds {
    /// By the profile of agents.
    pub agent: BTreeMap<String, BreakerSettings>,
    /// By the program of commands.
    pub command: BTreeMap<String, BreakerSettings>,
    /// By the name of functions.
    pub function: BTreeMap<String, BreakerSettings>,
    /// By the host of requests.
    pub http: BTreeMap<String, BreakerSettings>,
    /// By the provider that functions name.
    pub provider: BTreeMap<String, BreakerSettings>,
}

impl BreakerKinds {
    fn kinds(&self) -> [(&'static str, &BTreeMap<String, BreakerSettings>); 5] {
        [
            ("agent", &self.agent),
            ("command", &self.command),
            ("function", &self.function),
            ("http", &self.http),
            ("provider", &self.provider),
        ]
    }
}

/// When a service is left alone, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Outages in a row that open the breaker; 0: it never opens.
    pub failures: u32,
    /// How long it stays open at first.
    pub pause: String,
    /// The longest that it stays open.
    pub pause_max: String,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, pause: "30s".to_owned(), pause_max: "15m".to_owned() }
    }
}

/// The order that the settings ask for.
///
/// # Errors
/// What cannot be, with the key that says it.
pub(super) fn order(
    limits: &LimitSettings,
    resources: &BTreeMap<String, usize>,
    breakers: &BreakerKinds,
) -> Result<OrderConfig, String> {
    let LimitSettings { processes, functions, probes, .. } = limits;
    if [processes, functions, probes].contains(&&0) {
        return Err("limits are at least 1".to_owned());
    }
    if let Some((name, _)) = resources.iter().find(|(_, count)| **count == 0) {
        return Err(format!("resources.{name} is at least 1; take it out where there is none"));
    }
    let fair_by = limits.fair_by.parse().map_err(|error| format!("limits.fair_by: {error}"))?;
    let mut config = OrderConfig { resources: resources.clone(), fair_by, ..OrderConfig::default() };
    for (kind, rates) in limits.kinds() {
        for (name, rate) in rates {
            let at = |what: &str| format!("limits.{kind}.{name}: {what}");
            let per = span(&rate.per).map_err(|error| at(&format!("per: {error}")))?;
            let burst = rate.burst.unwrap_or(rate.starts);
            if rate.starts == 0 || burst == 0 {
                return Err(at("starts and burst are at least 1"));
            }
            let policy = RatePolicy { starts: rate.starts, per, burst };
            config.rates.insert(Service::new(kind, name), policy);
        }
    }
    if !breakers.agent.contains_key(Service::ANY) {
        for name in BREAKERS_OF {
            config.breakers.insert(Service::new("agent", name), breaker(&BreakerSettings::default())?);
        }
    }
    for (kind, named) in breakers.kinds() {
        for (name, settings) in named {
            let policy = breaker(settings).map_err(|error| format!("breakers.{kind}.{name}: {error}"))?;
            config.breakers.insert(Service::new(kind, name), policy);
        }
    }
    Ok(config)
}

fn breaker(settings: &BreakerSettings) -> Result<BreakerPolicy, String> {
    let pause = span(&settings.pause).map_err(|error| format!("pause: {error}"))?;
    let pause_max = span(&settings.pause_max).map_err(|error| format!("pause_max: {error}"))?;
    if pause > pause_max {
        return Err(format!("pause ({}) is longer than pause_max ({})", settings.pause, settings.pause_max));
    }
    Ok(BreakerPolicy { failures: settings.failures, pause, pause_max })
}

fn span(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("it is longer than 0".to_owned()) } else { Ok(span) }
}
