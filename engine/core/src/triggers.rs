//! What a trigger starts or sends for an occasion: a delivery, or a moment.
//!
//! Law: what follows from an occasion is a pure function of it and of the trigger. The runtime
//! finds the runs that it reaches, and records them as the occasion's outcome.
//!
//! Called by the runtime for deliveries of hooks and for moments of schedules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Hearing, RunEvent, SignalTaker};
use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_base::text::one_line;
use everfold_language::definition::{SignalTarget, Trigger};
use everfold_language::expr::{EvalError, Scope};

/// Why a trigger does not apply that gives no reason of its own.
pub const WHEN_FAILED: &str = "its `when` does not hold";

/// What a trigger's expressions see.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerEvent {
    /// What came.
    pub event: Value,
    /// Who is behind it.
    pub actor: String,
    /// The pipeline's settings at fixed paths, as they are now.
    pub config: Value,
}

impl Scope for TriggerEvent {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(match path {
            ["event"] => Some(self.event.clone()),
            ["actor"] => Some(Value::String(self.actor.clone())),
            ["config"] => Some(self.config.clone()),
            _other => None,
        })
    }
}

/// Whether a trigger applies.
#[derive(Debug, Clone, PartialEq)]
pub enum TriggerFit {
    /// It does, and wants this.
    Fits(TriggerMatch),
    /// It does not.
    Not {
        /// Why.
        why: String,
        /// It is asked again later.
        parks: bool,
    },
}

/// What a trigger starts or sends.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerMatch {
    /// A run.
    pub start: Option<RequestedStart>,
    /// A signal.
    pub signal: Option<RequestedSignal>,
}

/// A run that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedStart {
    /// Its input.
    pub input: Value,
    /// For readers.
    pub title: Option<String>,
    /// It is tried again later where it is refused for now.
    pub parks: bool,
}

/// A signal that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedSignal {
    /// Its name.
    pub name: String,
    /// What it says.
    pub payload: Value,
    /// Its receivers; `None`: the holder of the key that a start with this input would have.
    pub to: Option<Target>,
    /// It is kept while no run takes it.
    pub park: bool,
}

/// The receivers of a signal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The holder of a key.
    Key(String),
    /// All unended runs with all these labels.
    Labels(BTreeMap<String, String>),
    /// A run.
    Run(String),
    /// None: what waits is the start of a run.
    Start,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "the key “{key}”"),
            Self::Run(run) => write!(f, "run {run}"),
            Self::Start => f.write_str("the run that is to start"),
            Self::Labels(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "{}", labels.join(" "))
            }
        }
    }
}

/// What an occasion led to, by one trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A run was started.
    Started {
        /// The run.
        run: RunId,
    },
    /// A run has the key already, and is the answer.
    Held {
        /// The run.
        run: RunId,
    },
    /// Runs got the signal.
    Signalled {
        /// The signal.
        signal: String,
        /// The runs.
        runs: Vec<RunId>,
    },
    /// Nothing follows.
    Ignored {
        /// Why.
        why: String,
    },
    /// It was refused.
    Refused {
        /// A stable word for programs.
        code: String,
        /// Why.
        message: String,
    },
    /// No run takes the signal yet; it is kept.
    Parked {
        /// The signal.
        signal: String,
        /// The runs that it waits for.
        to: Target,
    },
    /// Runs got the signal and deferred it: it is followed when the work that executes has ended.
    Deferred {
        /// The signal.
        signal: String,
        /// The runs.
        runs: Vec<RunId>,
    },
    /// Runs got the signal and keep it for a `wait` to come.
    Kept {
        /// The signal.
        signal: String,
        /// The runs.
        runs: Vec<RunId>,
    },
    /// No run starts yet; the trigger is asked again.
    StartParked {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Held { .. } => "held",
            Self::Signalled { .. } => "signalled",
            Self::Ignored { .. } => "ignored",
            Self::Refused { .. } => "refused",
            Self::Parked { .. } | Self::StartParked { .. } => "parked",
            Self::Deferred { .. } => "deferred",
            Self::Kept { .. } => "kept",
        }
    }

    /// The runs that it reached.
    #[must_use]
    pub fn runs(&self) -> Vec<RunId> {
        match self {
            Self::Started { run } | Self::Held { run } => vec![*run],
            Self::Signalled { runs, .. } | Self::Deferred { runs, .. } | Self::Kept { runs, .. } => {
                runs.clone()
            }
            Self::Ignored { .. } | Self::Refused { .. } | Self::Parked { .. } | Self::StartParked { .. } => {
                Vec::new()
            }
        }
    }
}

/// The effect of a signal on a run, the least first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalEffect {
    /// Nothing takes it.
    NotTaken,
    /// A route takes it, and nothing follows; why, where the run says so.
    Ignored(SignalTaker, Option<String>),
    /// A route refuses it, with this reason.
    Refused(String),
    /// It is kept for a later `wait`.
    Kept,
    /// It is followed when the work that executes has ended.
    Deferred,
    /// It is followed.
    Now,
}

impl SignalEffect {
    /// The more, the higher.
    fn rank(&self) -> u8 {
        match self {
            Self::NotTaken => 0,
            Self::Ignored(..) => 1,
            Self::Refused(_) => 2,
            Self::Kept => 3,
            Self::Deferred => 4,
            Self::Now => 5,
        }
    }
}

/// The effect of a signal on a run, by the events that the signal led to at once.
pub fn signal_effect<'a>(batch: impl IntoIterator<Item = &'a RunEvent>) -> SignalEffect {
    let (mut best, mut follows) = (SignalEffect::NotTaken, false);
    for event in batch {
        let taken = match event {
            RunEvent::SignalReceived(_) => continue,
            RunEvent::SignalTaken(taken) => taken,
            _consequence => {
                follows = true;
                continue;
            }
        };
        let found = match (taken.how, &taken.by) {
            (Hearing::Ignored, SignalTaker::Nobody) => SignalEffect::NotTaken,
            (Hearing::Ignored, by) => SignalEffect::Ignored(by.clone(), taken.reason.clone()),
            (Hearing::Refused, _) => SignalEffect::Refused(taken.reason.clone().unwrap_or_default()),
            (Hearing::Kept, _) => SignalEffect::Kept,
            (Hearing::Deferred, _) => SignalEffect::Deferred,
            // A route may find that nothing is left to do: a pause of what is paused, a recheck of what is not judged.
            (Hearing::Now, SignalTaker::Step(_) | SignalTaker::Run) if taken.ends.is_none() => {
                SignalEffect::Ignored(taken.by.clone(), None)
            }
            (Hearing::Now, _) => SignalEffect::Now,
        };
        if found.rank() > best.rank() {
            best = found;
        }
    }
    match best {
        SignalEffect::Ignored(..) if follows => SignalEffect::Now,
        other => other,
    }
}

/// The longest reason of a trigger that does not apply.
const REASON_CHARS_MAX: usize = 500;

/// Codes of refused starts that another time may not be refused: settings, and what is computed from them, places, names,
/// other runs change.
const FOR_NOW: [&str; 8] =
    ["config", "key_taken", "no_slot", "not_admitted", "halted", "resource", "unknown_work", "start"];

/// Whether a start that is refused with this code may be tried again later.
#[must_use]
pub fn is_refused_for_now(code: &str) -> bool {
    FOR_NOW.contains(&code)
}

/// What a trigger starts or sends for an occasion, or why it does not apply.
///
/// # Errors
/// [`EvalError`]: an expression failed.
pub fn match_trigger(trigger: &Trigger, occasion: &TriggerEvent) -> Result<TriggerFit, EvalError> {
    if let Some(when) = &trigger.when
        && !when.eval_bool(occasion)?
    {
        let why = match &trigger.otherwise {
            Some(otherwise) => {
                one_line(&otherwise.render_text(occasion)?).chars().take(REASON_CHARS_MAX).collect()
            }
            None => WHEN_FAILED.to_owned(),
        };
        let parks = trigger.park_when.as_ref().map_or(Ok(false), |when| when.eval_bool(occasion))?;
        return Ok(TriggerFit::Not { why, parks });
    }
    let start = match &trigger.start {
        None => None,
        Some(start) => Some(RequestedStart {
            input: match &start.input {
                Some(input) => input.render(occasion)?,
                None => occasion.event.clone(),
            },
            title: start
                .title
                .as_ref()
                .map(|title| title.render_text(occasion))
                .transpose()?
                .map(|title| one_line(&title).into_owned()),
            parks: start.park,
        }),
    };
    let signal = match &trigger.signal {
        None => None,
        Some(name) => Some(RequestedSignal {
            name: name.render_text(occasion)?,
            payload: match &trigger.payload {
                Some(payload) => payload.render(occasion)?,
                None => occasion.event.clone(),
            },
            to: trigger.to.as_ref().map(|to| target(to, occasion)).transpose()?,
            park: trigger.park,
        }),
    };
    Ok(TriggerFit::Fits(TriggerMatch { start, signal }))
}

fn target(to: &SignalTarget, occasion: &TriggerEvent) -> Result<Target, EvalError> {
    Ok(match to {
        SignalTarget::Key(key) => Target::Key(key.render_text(occasion)?),
        SignalTarget::Run(run) => Target::Run(run.render_text(occasion)?),
        SignalTarget::Labels(labels) => {
            let render = |(name, value): (&String, &everfold_language::expr::Template)| {
                Ok((name.clone(), value.render_text(occasion)?))
            };
            Target::Labels(labels.iter().map(render).collect::<Result<_, EvalError>>()?)
        }
    })
}
