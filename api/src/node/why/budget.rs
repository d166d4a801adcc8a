//! Why paid work waits for money: what a budget that runs share has reserved, and for whose work. No state of a run knows that.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use everfold_engine::actor::Actor;
use everfold_engine::budgets::{shown, stream};
use everfold_engine::event::{BudgetTerms, Measure};
use everfold_engine::id::RunId;
use everfold_engine::state::RunState;
use everfold_engine::why::{CauseKind, CauseNode, CauseSubject};

use super::budget_sentence::sentence_of;
use super::{Chain, HOLDERS_MAX};
use crate::fault::Fault;

/// What is said of paid work that had a run started which now waits for what is reserved for that work.
const STARTED_BELOW: &str = ", by which this one was started: work that waits for this run waits for itself, until it is stopped or the limit is raised";

impl Chain<'_> {
    /// Names the runs for whose work shared budgets keep what an attempt waits for.
    pub(super) async fn reservations(
        &mut self,
        run: RunId,
        state: &RunState,
        cause: &mut CauseNode,
        depth: usize,
    ) -> Result<(), Fault> {
        for terms in state.shared_budgets() {
            let Some(budget) = self.node.engine.shared_budget(terms).await? else { continue };
            let Some(sentence) = sentence_of(&budget) else { continue };
            let is_it = |below: &&mut CauseNode| below.subject.name.as_deref() == Some(terms.id.as_str());
            if let Some(known) = cause.because.iter_mut().find(is_it) {
                // The run heard of it when it asked, and hears of no change that gives it nothing.
                known.sentence.clone_from(&sentence);
                known.until = budget.period.map(|(_, until)| until);
            }
            if budget.over != Some(Measure::Cost) || budget.used.reserved_micros == 0 {
                continue;
            }
            let holders = self.holders_of(run, terms, depth).await?;
            if let Some(known) = cause.because.iter_mut().find(is_it) {
                known.because.extend(holders);
                continue;
            }
            let subject = CauseSubject::name(&terms.id);
            cause.because.push(CauseNode::new(CauseKind::Budget, subject, sentence).because(holders));
        }
        Ok(())
    }

    /// The runs for whose work a counter keeps most, and why each goes on.
    async fn holders_of(
        &mut self,
        run: RunId,
        terms: &BudgetTerms,
        depth: usize,
    ) -> Result<Vec<CauseNode>, Fault> {
        let Some(stream) = stream(terms) else { return Ok(Vec::new()) };
        let counter = self.node.engine.budget_counter(&stream).await?;
        let mut kept: BTreeMap<RunId, u64> = BTreeMap::new();
        for (attempt, reserved) in counter.reserved().filter(|(_, reserved)| reserved.cost_micros > 0) {
            *kept.entry(attempt.run).or_default() += reserved.cost_micros;
        }
        let mut holders: Vec<(RunId, u64)> = kept.into_iter().collect();
        holders.sort_by_key(|(_, micros)| Reverse(*micros));
        let more = holders.len().saturating_sub(HOLDERS_MAX);
        let above = self.node.engine.runs_above(&Actor::Run(run.to_string())).await?;
        let mut causes = Vec::new();
        for (holder, micros) in holders.into_iter().take(HOLDERS_MAX) {
            let amount = shown(Measure::Cost, micros);
            let (sentence, why) = match holder == run {
                true => (format!("{amount} is reserved for other work of this run"), Vec::new()),
                false => {
                    let what = self.name_of(holder).await?;
                    let whose = format!("{amount} is reserved for work of the run {}{what}", holder.short());
                    let sentence = match above.found().contains(&holder) {
                        true => format!("{whose}{STARTED_BELOW}"),
                        false => whose,
                    };
                    (sentence, self.below(holder, depth).await?)
                }
            };
            let subject = CauseSubject::run(holder).named(&terms.id);
            causes.push(CauseNode::new(CauseKind::Budget, subject, sentence).because(why));
        }
        if more > 0 {
            let sentence = format!("the rest is reserved for work of {more} further runs");
            causes.push(CauseNode::new(CauseKind::More, CauseSubject::name(&terms.id), sentence));
        }
        Ok(causes)
    }
}
