//! The law of the audit's index: it finds the decisions that a reading of the whole log finds.

use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::Position;
use everfold_core::event::{RunEvent, UnblockDecision, decode};
use everfold_core::policy::Verdict;
use everfold_projections::{
    AskedRecheck, Decision, DecisionFilter, DecisionKind, DecisionPlace, DecisionType, Models, decision_of,
};
use proptest::prelude::*;
use serde_json::json;

use crate::folded_log::{choices, folded, log};
use crate::random_run::RandomRun;

pub(crate) fn decision_filters() -> Vec<DecisionFilter> {
    let none = DecisionFilter::default;
    let ada = Actor::User("ada".into());
    let mut filters: Vec<DecisionFilter> =
        DecisionType::ALL.into_iter().map(|kind| DecisionFilter { kinds: vec![kind], ..none() }).collect();
    filters.extend([
        none(),
        DecisionFilter { actor: vec![ada.clone()], ..none() },
        DecisionFilter { actor: vec![Actor::Engine], kinds: vec![DecisionType::Rework], ..none() },
        DecisionFilter { actor: vec![Actor::User("a".into())], ..none() },
        DecisionFilter { actor: vec![ada.clone(), Actor::Engine], ..none() },
        DecisionFilter { kinds: vec![DecisionType::Gate, DecisionType::Vote], ..none() },
        DecisionFilter { kinds: vec![DecisionType::Override, DecisionType::Recheck], ..none() },
        DecisionFilter { gate: vec!["checked".into()], ..none() },
        DecisionFilter { gate: vec!["checked".into(), "known".into()], ..none() },
        DecisionFilter { gate: vec!["known".into()], verdict: vec![Verdict::Pending], ..none() },
        DecisionFilter { verdict: vec![Verdict::Pending, Verdict::Pass], ..none() },
        DecisionFilter { verdict: vec![Verdict::Fail], kinds: vec![DecisionType::Vote], ..none() },
        DecisionFilter { pipeline: vec!["nothing".into(), "everything".into()], actor: vec![ada], ..none() },
        DecisionFilter { pipeline: vec!["nothing".into()], ..none() },
        DecisionFilter { run: vec![RandomRun::begin(1).run], ..none() },
        DecisionFilter { run: vec![RandomRun::begin(1).run, RandomRun::begin(2).run], ..none() },
        DecisionFilter { since: Some(Position(20)), ..none() },
    ]);
    filters
}

/// What a filter says, looked at decision by decision.
fn is_wanted(filter: &DecisionFilter, event: &Envelope, decision: &Decision) -> bool {
    let of_kind = |kind: &DecisionType| match (&decision.kind, kind) {
        (DecisionKind::Recheck { policies, .. }, DecisionType::Override) => !policies.is_empty(),
        (other, kind) => json!(other)["kind"] == kind.as_str(),
    };
    let (gate, verdict) = match &decision.kind {
        DecisionKind::Gate { gate, verdict, .. } => (Some(gate), Some(*verdict)),
        DecisionKind::Rework { gate, .. } => (gate.as_ref(), None),
        DecisionKind::Unjudged { gate, .. } => (Some(gate), None),
        _other => (None, None),
    };
    let stream = &event.header.stream;
    (filter.kinds.is_empty() || filter.kinds.iter().any(of_kind))
        && (filter.actor.is_empty() || filter.actor.iter().any(|actor| actor.to_string() == decision.actor))
        && (filter.gate.is_empty() || gate.is_some_and(|gate| filter.gate.contains(gate)))
        && (filter.verdict.is_empty() || verdict.is_some_and(|is| filter.verdict.contains(&is)))
        && (filter.pipeline.is_empty() || filter.pipeline.iter().any(|name| name == "everything"))
        && (filter.run.is_empty() || filter.run.iter().any(|run| *stream == StreamId::run(*run)))
        && filter.since.is_none_or(|since| event.position > since)
        && filter.until.is_none_or(|until| event.position <= until)
}

/// The recheck that a failed probe, or another recheck, finds going on, where no other probe of the gate failed in it before.
fn recheck_before(log: &[Arc<Envelope>], event: &Envelope) -> Option<AskedRecheck> {
    let read = |envelope: &Envelope| {
        let header = &envelope.header;
        let is_of_run = header.stream == event.header.stream;
        is_of_run.then(|| decode(header.kind, header.schema, &envelope.payload).ok()).flatten()
    };
    let (path, gate) = match read(event)? {
        RunEvent::ProbeFailed(failed) => (failed.id.path, Some(failed.gate)),
        RunEvent::RecheckRequested(asked) => (asked.path, None),
        _others => return None,
    };
    for former in log.iter().rev() {
        let ended = match read(former) {
            Some(RunEvent::RecheckRequested(asked)) if asked.path == path => {
                return AskedRecheck::of(former, None);
            }
            Some(RunEvent::RunUnblocked(event)) if event.unblocked.path == path => {
                let is_recheck = event.unblocked.decision == UnblockDecision::Recheck;
                return is_recheck.then(|| AskedRecheck::of(former, None)).flatten();
            }
            Some(RunEvent::ProbeFailed(failed))
                if failed.id.path == path && Some(&failed.gate) == gate.as_ref() =>
            {
                return None;
            }
            Some(RunEvent::StepScheduled(event)) => event.id.path,
            Some(RunEvent::ApprovalRequested(event)) => event.id.path,
            Some(RunEvent::StepBlocked(event)) => event.path,
            Some(RunEvent::StepSucceeded(event)) => event.path,
            Some(RunEvent::StepFailed(event)) => event.path,
            Some(RunEvent::StepSkipped(event)) => event.path,
            Some(RunEvent::StepCancelled(event)) => event.path,
            Some(RunEvent::ReworkRequested(event)) => event.source.id.path,
            _others => continue,
        };
        if ended == path {
            return None;
        }
    }
    None
}

/// Every part of the list of decisions.
pub(crate) fn decisions(models: &Models, filter: &DecisionFilter) -> Vec<DecisionPlace> {
    let (mut places, mut cursor) = (Vec::new(), None);
    loop {
        let page = models.audit().unwrap().decisions(filter, cursor, 3).unwrap();
        assert!(page.items.len() == 3 || page.next.is_none());
        places.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return places;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// The decisions that the index finds are those that a reading of the whole log finds.
    #[test]
    fn decisions_by_index_equal_a_scan_of_the_log(
        choices in choices(160),
        until in any::<prop::sample::Index>(),
    ) {
        let (_, log) = log(&choices, 7);
        let models = folded(&log);
        let until = Position(until.index(log.len() + 1) as u64);
        for filter in decision_filters() {
            for filter in [filter.clone(), DecisionFilter { until: Some(until), ..filter }] {
                let scanned = log.iter().enumerate().rev().filter_map(|(at, event)| {
                    let about = recheck_before(&log[..at], event);
                    let asked = about.as_ref().map(|about| about.version);
                    let decision = decision_of(event, about)?;
                    is_wanted(&filter, event, &decision).then_some((event.position, asked))
                });
                let found = decisions(&models, &filter).into_iter();
                let found = found.map(|place| (place.position, place.about.map(|about| about.asked)));
                prop_assert_eq!(found.collect::<Vec<_>>(), scanned.collect::<Vec<_>>(), "{:?}", filter);
            }
        }
    }
}
