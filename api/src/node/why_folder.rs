//! Why nothing happens: what holds up the runs of a data folder.
//!
//! Law: each cause has a number of runs or attempts that it concerns, or stands for all; what concerns none (a full pool
//! that no attempt waits for) is no cause.

use std::sync::atomic::Ordering;

use everfold_engine::clock;
use everfold_engine::driver::{LineView, Reason};
use everfold_engine::event::taken;
use everfold_engine::id::RunId;
use everfold_engine::state::RunStatus;
use everfold_engine::why::{CauseKind, CauseNode, CauseSubject, of_run};
use everfold_projections::{RunFilter, RunOrder};
use everfold_workflows::agent::PreflightFinding;

use super::budgets::BudgetWithStarts;
use super::handle::Node;
use crate::body::why::FolderWhy;
use crate::fault::Fault;
use crate::text::{count, cut};

/// Runs of each kind that are named.
const NAMED_MAX: usize = 5;
/// Causes of each of them that are told; `why RUN` tells all.
const OWN_MAX: usize = 3;

impl Node {
    /// What holds up the runs of the folder.
    ///
    /// # Errors
    /// A read model or a stream cannot be read.
    pub(crate) async fn why_nothing(&self) -> Result<FolderWhy, Fault> {
        let counts = self.runs(None, |runs| runs.counts(None)).await?.by_status;
        let of = |status: RunStatus| counts.get(&status).copied().unwrap_or_default();
        let open = counts.iter().filter(|(status, _)| !status.is_ended()).map(|(_, count)| count).sum();
        let mut causes = self.of_folder(open).await?;
        causes.extend(of_line(&self.engine().held_up(), &self.engine().line()));
        causes.extend(self.of_functions());
        causes.extend(self.of_preflights());
        causes.extend(self.of_budgets().await?);
        for (status, kind, what) in [
            (RunStatus::Queued, CauseKind::Slot, ["waits for a slot or key", "wait for a slot or key"]),
            (
                RunStatus::Blocked,
                CauseKind::Blocked,
                [
                    "waits for a person to decide on a blocked step",
                    "wait for a person to decide on a blocked step",
                ],
            ),
            (
                RunStatus::Waiting,
                CauseKind::Approval,
                ["waits for people, a signal or a moment", "wait for people, a signal or a moment"],
            ),
            (RunStatus::Paused, CauseKind::Paused, ["is paused", "are paused"]),
        ] {
            if of(status) > 0 {
                causes.push(self.of_status(status, kind, what, of(status)).await?);
            }
        }
        Ok(FolderWhy { at: clock::now(), open, running: of(RunStatus::Running), causes })
    }

    /// What concerns every run: the disk, the engine, pauses, runs that are set aside.
    async fn of_folder(&self, open: u64) -> Result<Vec<CauseNode>, Fault> {
        let mut causes = Vec::new();
        if let Some(shortage) = self.disk_shortage().await {
            let sentence = shortage.sentence("runs go on");
            causes.push(CauseNode::new(CauseKind::Disk, CauseSubject::default(), sentence));
        }
        if !self.drives_all.load(Ordering::Acquire) && open > 0 {
            let sentence = format!(
                "no engine goes on with every run of the folder ({} open); `everfold serve` does",
                count(open, "run")
            );
            causes.push(CauseNode::new(CauseKind::Owner, CauseSubject::default(), sentence));
        }
        for halt in self.halts().await? {
            let what = halt
                .pipeline
                .as_ref()
                .map_or("the whole engine".to_owned(), |name| format!("the pipeline {name}"));
            let why =
                halt.reason.as_ref().map(|reason| format!(": {}", cut(reason, 120))).unwrap_or_default();
            let sentence = format!("{what} is paused by {}{why}", halt.by);
            let subject = CauseSubject { name: halt.pipeline.clone(), ..CauseSubject::default() };
            causes.push(CauseNode::new(CauseKind::Paused, subject, sentence).since(halt.since));
        }
        for (run, why) in self.set_aside().into_iter().take(NAMED_MAX) {
            let sentence = format!("the run {} is set aside: {}", run.short(), cut(&why, 120));
            causes.push(CauseNode::new(CauseKind::SetAside, CauseSubject::run(run), sentence));
        }
        for schedule in self.schedules().await? {
            if schedule.status == "paused" {
                let why = schedule.reason.as_ref().map(|reason| format!(": {}", cut(reason, 120)));
                let sentence = format!("the schedule {} is paused{}", schedule.name, why.unwrap_or_default());
                let cause = CauseNode::new(CauseKind::Paused, CauseSubject::name(&schedule.name), sentence);
                causes.push(cause.since(schedule.paused_at));
            }
        }
        Ok(causes)
    }

    /// Functions that attempts wait for, and no worker offers.
    fn of_functions(&self) -> Vec<CauseNode> {
        let names = self.functions().names().into_iter().filter(|name| self.functions().is_remote(name));
        let views = names.map(|name| self.book().function(name, ""));
        let missing = views.filter(|function| function.waiting > 0 && function.polls == 0);
        missing
            .map(|function| {
                let waiting = waiting(function.waiting);
                let sentence = format!("no worker offers the function {}, and {waiting}", function.name);
                CauseNode::new(CauseKind::Worker, CauseSubject::name(&function.name), sentence)
            })
            .collect()
    }

    /// What agents need and is missing, and attempts wait for.
    fn of_preflights(&self) -> Vec<CauseNode> {
        let waits = self.preflights().waits();
        let held = |found: &PreflightFinding| {
            let (_, wait) = waits.iter().find(|(_, wait)| wait.profile == found.profile)?;
            let sentence =
                format!("{} for {}: {}; {}", waiting(found.waiting), wait.awaits, wait.reason, wait.hint);
            let cause = CauseNode::new(CauseKind::Preflight, CauseSubject::name(&found.profile), sentence);
            Some(cause.since(found.since))
        };
        self.preflights().all().iter().filter_map(held).collect()
    }

    /// Shared budgets whose own limits leave no room, and those that keep for work that runs what attempts wait for.
    async fn of_budgets(&self) -> Result<Vec<CauseNode>, Fault> {
        let mut causes = Vec::new();
        for BudgetWithStarts { view: budget, reserved, runs } in self.budgets_with_starts().await? {
            let sentence = match (budget.over, budget.waiting) {
                (None, 0) => continue,
                (Some(over), 0) => {
                    let taken = taken(budget.is_reserved);
                    format!("the shared budget {} is {taken} ({})", budget.scope, over.as_str())
                }
                (_reserved, number) => {
                    let (scope, waiting) = (&budget.scope, waiting(number));
                    format!(
                        "{reserved} of the shared budget {scope} is reserved for work that runs, and {waiting}"
                    )
                }
            };
            let mut named = Vec::new();
            for run in runs.into_iter().take(NAMED_MAX) {
                let pipeline = self.pipeline_of(run).await?.unwrap_or_default();
                let sentence = format!("run {} ({pipeline}) waits for money", run.short());
                named.push(CauseNode::new(CauseKind::Budget, CauseSubject::run(run), sentence));
            }
            let cause = CauseNode::new(CauseKind::Budget, CauseSubject::name(&budget.scope), sentence);
            causes.push(cause.until(budget.until).because(named));
        }
        Ok(causes)
    }

    /// What a run waits for itself, the first few causes; none where it cannot be read.
    async fn own_causes(&self, run: RunId, status: RunStatus) -> Vec<CauseNode> {
        let Ok(state) = self.state_then(run, None).await else { return Vec::new() };
        let Ok(trail) = self.trail(run, state.version()).await else { return Vec::new() };
        // A paused run asks for a slot only once it goes on: its pause is what it waits for.
        let is_asked = |cause: &CauseNode| status != RunStatus::Paused || cause.kind != CauseKind::Slot;
        let causes = of_run(&state, &trail).into_iter().filter(is_asked).take(OWN_MAX);
        causes
            .map(|mut cause| {
                cause.because.clear();
                if let Some(evidence) = &mut cause.evidence {
                    evidence.run = Some(run);
                }
                cause
            })
            .collect()
    }

    /// The runs in a status, the oldest named one by one.
    async fn of_status(
        &self,
        status: RunStatus,
        kind: CauseKind,
        [of_one, of_several]: [&str; 2],
        number: u64,
    ) -> Result<CauseNode, Fault> {
        let filter = RunFilter { status: vec![status], ..RunFilter::default() };
        let page =
            self.runs(None, move |runs| runs.list(&filter, RunOrder::Oldest, None, NAMED_MAX, None)).await?;
        let mut named: Vec<CauseNode> = Vec::new();
        for row in page.items {
            let title = row.title.as_ref().map(|title| format!(", {}", cut(title, 60))).unwrap_or_default();
            let note = row.shown.note().map(|note| format!(": {}", cut(note, 120))).unwrap_or_default();
            let sentence = format!("run {} ({}{title}){note}", row.short_id, row.pipeline);
            let own = self.own_causes(row.id, status).await;
            // What waits may wait for people, a signal, a moment: its own causes say which.
            let kind = match own.first() {
                Some(own) if status == RunStatus::Waiting => own.kind,
                _known => kind,
            };
            let cause = CauseNode::new(kind, CauseSubject::run(row.id), sentence);
            named.push(cause.since(row.shown.moved_at).because(own));
        }
        let mut kinds = named.iter().map(|run| run.kind);
        let first = kinds.next();
        let kind = first.filter(|first| kinds.all(|kind| kind == *first)).unwrap_or(kind);
        let what = if number > 1 { of_several } else { of_one };
        let sentence = format!("{} {what}", count(number, "run"));
        let mut cause = CauseNode::new(kind, CauseSubject::default(), sentence).because(named);
        let more = number.saturating_sub(cause.because.len() as u64);
        if more > 0 {
            let sentence = format!("{more} more: `everfold runs --status {status}`");
            cause.because.push(CauseNode::new(CauseKind::More, CauseSubject::default(), sentence));
        }
        Ok(cause)
    }
}

/// What attempts wait for in line: each counts once.
fn of_line(held_up: &[(Reason, usize)], line: &LineView) -> Vec<CauseNode> {
    let cause = |(reason, number): &(Reason, usize)| {
        let waiting = waiting(*number);
        // It is there, and kept for a request that comes first.
        let kept = |in_use: usize, size: usize| if in_use < size { ", the rest is kept" } else { "" };
        match reason {
            Reason::Resource { name, in_use, size, .. } => {
                let kept = kept(*in_use, *size);
                let sentence =
                    format!("{in_use} of {size} of the resource {name} are in use{kept}, and {waiting}");
                CauseNode::new(CauseKind::Resource, CauseSubject::name(name), sentence)
            }
            Reason::Unknown { name } => {
                let sentence = format!("the settings do not name the resource {name}, and {waiting} for it");
                CauseNode::new(CauseKind::Resource, CauseSubject::name(name), sentence)
            }
            Reason::Withheld { name, .. } => {
                let sentence = format!("{waiting} for {reason}");
                CauseNode::new(CauseKind::Resource, CauseSubject::name(name), sentence)
            }
            Reason::Place { name, in_use, size, .. } => {
                let kept = kept(*in_use, *size);
                let sentence = format!("{in_use} of {size} places of {name} are in use{kept}, and {waiting}");
                CauseNode::new(CauseKind::Place, CauseSubject::name(name), sentence)
            }
            Reason::Rate { service, next, starts, per } => {
                let sentence = format!("{service} starts {starts} times in {per}, and {waiting}");
                CauseNode::new(CauseKind::Rate, CauseSubject::name(service), sentence).until(*next)
            }
            Reason::Breaker { service, since, next, last } => {
                let breaker = line.breakers.iter().find(|breaker| breaker.service == *service);
                let row = breaker.filter(|it| !it.is_asked());
                let (why, last_of) = match row {
                    Some(it) => {
                        let outages = count(u64::from(it.failures), "outage");
                        (format!("after {outages} in a row"), ", the last")
                    }
                    None => ("because the service asked for a pause".to_owned(), ""),
                };
                let last = last.as_ref().map(|last| format!("{last_of}: {}", cut(last, 120)));
                let last = last.unwrap_or_default();
                let sentence = format!("the breaker of {service} is open {why}{last}; {waiting}");
                let cause = CauseNode::new(CauseKind::Breaker, CauseSubject::name(service), sentence);
                cause.since(*since).until(*next)
            }
        }
    };
    held_up.iter().map(cause).collect()
}

/// How many attempts wait: `1 attempt waits`, `2 attempts wait`.
fn waiting(attempts: usize) -> String {
    let verb = if attempts == 1 { "waits" } else { "wait" };
    format!("{} {verb}", count(attempts as u64, "attempt"))
}
