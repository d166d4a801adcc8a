//! What preflights found last, and which attempts wait for it.
//!
//! Law: it is what this process knows now, and is recorded nowhere. An attempt stands here as long as it waits, however
//! its wait ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_base::failure::Failure;
use everfold_base::id::{EffectId, RunId};
use everfold_base::time::Timestamp;
use everfold_system::clock;
use serde::Serialize;

use super::missing::{NO_PROGRAM, UNAUTHORISED, UNREACHABLE};

/// What the newest look of a profile found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreflightFinding {
    /// The profile.
    pub profile: String,
    /// Nothing is missing.
    pub ok: bool,
    /// What is missing: `UNREACHABLE`, `UNAUTHORISED`, `NO_PROGRAM`, `NO_ANSWER`.
    pub code: Option<String>,
    /// Why it is missing.
    pub reason: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// When it was looked at last.
    pub looked_at: Timestamp,
    /// Attempts that wait for it.
    pub waiting: usize,
}

/// An attempt that does not begin because something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreflightWait {
    /// The profile.
    pub profile: String,
    /// What it waits for, in words: `the login of claude`.
    pub awaits: String,
    /// As of a finding.
    pub code: Option<String>,
    /// Why it is missing.
    pub reason: String,
    /// What to do.
    pub hint: String,
    /// Since when it waits.
    pub since: Timestamp,
}

#[derive(Debug, Default)]
struct KnownPreflights {
    found: BTreeMap<String, PreflightFinding>,
    waits: BTreeMap<EffectId, PreflightWait>,
}

/// What is known of preflights. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PreflightFindings(Arc<Mutex<KnownPreflights>>);

impl PreflightFindings {
    fn known(&self) -> MutexGuard<'_, KnownPreflights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest of each profile that was looked at, by their names.
    #[must_use]
    pub fn all(&self) -> Vec<PreflightFinding> {
        let known = self.known();
        let waiting = |profile: &str| known.waits.values().filter(|wait| wait.profile == profile).count();
        let one =
            |found: &PreflightFinding| PreflightFinding { waiting: waiting(&found.profile), ..found.clone() };
        known.found.values().map(one).collect()
    }

    /// The attempts that wait, by their run.
    #[must_use]
    pub fn waits(&self) -> Vec<(EffectId, PreflightWait)> {
        self.known().waits.iter().map(|(id, wait)| (id.clone(), wait.clone())).collect()
    }

    /// The attempts of a run that wait.
    #[must_use]
    pub fn waits_of(&self, run: RunId) -> Vec<(EffectId, PreflightWait)> {
        self.waits().into_iter().filter(|(id, _)| id.run == run).collect()
    }

    /// A look found this.
    pub(super) fn note(&self, profile: &str, found: &Result<(), Failure>) {
        let (now, missing) = (clock::now(), found.as_ref().err());
        let mut known = self.known();
        let former = known.found.get(profile).filter(|former| former.ok == missing.is_none());
        let since = former.map_or(now, |former| former.since);
        let finding = PreflightFinding {
            profile: profile.to_owned(),
            ok: missing.is_none(),
            code: missing.and_then(|missing| missing.code.clone()),
            reason: missing.map(|missing| missing.message.clone()),
            hint: missing.map(|missing| missing.hint().to_owned()),
            since,
            looked_at: now,
            waiting: 0,
        };
        known.found.insert(profile.to_owned(), finding);
    }

    /// An attempt waits until the wait is dropped.
    pub(super) fn wait(&self, id: &EffectId) -> OpenPreflightWait {
        OpenPreflightWait { findings: self.clone(), id: id.clone(), since: clock::now() }
    }
}

/// The wait of an attempt, as long as it lives.
pub(super) struct OpenPreflightWait {
    findings: PreflightFindings,
    id: EffectId,
    since: Timestamp,
}

impl OpenPreflightWait {
    /// It still waits, for this.
    pub(super) fn goes_on(&self, profile: &str, missing: &Failure) {
        let wait = PreflightWait {
            profile: profile.to_owned(),
            awaits: awaited(profile, missing.code.as_deref()),
            code: missing.code.clone(),
            reason: missing.message.clone(),
            hint: missing.hint().to_owned(),
            since: self.since,
        };
        self.findings.known().waits.insert(self.id.clone(), wait);
    }
}

impl Drop for OpenPreflightWait {
    fn drop(&mut self) {
        self.findings.known().waits.remove(&self.id);
    }
}

/// What is waited for, in words.
fn awaited(profile: &str, code: Option<&str>) -> String {
    let what = match code {
        Some(UNAUTHORISED) => "login",
        Some(UNREACHABLE) => "network",
        Some(NO_PROGRAM) => "program",
        _other => "preflight",
    };
    format!("the {what} of {profile}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::missing::failure;

    #[test]
    fn what_is_missing_is_known_with_whom_it_holds_up_until_nobody_waits() {
        let findings = PreflightFindings::default();
        let missing = failure(UNAUTHORISED, "no credentials".to_owned(), "log in".to_owned());
        findings.note("claude", &Err(missing.clone()));
        let since = findings.all()[0].since;
        let id = EffectId {
            run: "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap(),
            attempt: "analyst/1/1".parse().unwrap(),
        };
        let wait = findings.wait(&id);
        wait.goes_on("claude", &missing);
        findings.note("claude", &Err(missing));
        let found = findings.all();
        assert_eq!((found.len(), found[0].ok, found[0].since, found[0].waiting), (1, false, since, 1));
        let waits = findings.waits_of(id.run);
        assert_eq!((&waits[0].0, waits[0].1.awaits.as_str()), (&id, "the login of claude"));
        assert_eq!(waits[0].1.hint, "log in");
        drop(wait);
        findings.note("claude", &Ok(()));
        let found = findings.all();
        assert!(
            findings.waits().is_empty() && found[0].ok && found[0].waiting == 0 && found[0].hint.is_none()
        );
    }
}
