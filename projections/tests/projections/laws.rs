//! Laws of the read models over histories that the real core decided.

use std::sync::Arc;

use everfold_base::envelope::Envelope;
use everfold_base::failure::Failure;
use everfold_base::id::{Attempt, AttemptId, Position, StepId};
use everfold_base::time::Timestamp;
use everfold_core::policy::Verdict;
use everfold_core::state::{Awaited, Phase, RunState, RunStatus, StepStatus};
use everfold_projections::{
    DecisionFilter, GateFilter, GroupBy, Models, RowStepCounts, RunFilter, RunOrder, RunRow, SpendBy,
    SpendFilter, StageFilter, Task, TaskKind,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decisions::{decision_filters, decisions};
use crate::folded_log::{apply, choices, folded, log};
use crate::random_run::RandomRun;

/// How many steps are how far, as the run's own state has it.
fn step_counts(state: &RunState) -> RowStepCounts {
    let mut counts = RowStepCounts::default();
    for (step, known) in state.steps() {
        let is_pending = state.step_status(&step.id) == Some(StepStatus::Pending);
        let place = match &known.phase {
            Phase::Cancelled if is_pending => &mut counts.pending,
            Phase::Pending => &mut counts.pending,
            Phase::Working | Phase::Judging | Phase::Settling(_) | Phase::Blocked(_) => &mut counts.open,
            Phase::Succeeded => &mut counts.succeeded,
            Phase::Failed { .. } => &mut counts.failed,
            Phase::Skipped => &mut counts.skipped,
            Phase::Cancelled => &mut counts.cancelled,
        };
        *place += 1;
        counts.total += 1;
    }
    counts
}

/// The steps that are open, as the run's own state has them; none once it has ended.
fn open_steps(state: &RunState) -> Vec<StepId> {
    let is_open = |phase: &Phase| {
        matches!(phase, Phase::Working | Phase::Judging | Phase::Settling(_) | Phase::Blocked(_))
    };
    let open = state.steps().filter(|(_, known)| !state.is_ended() && is_open(&known.phase));
    let mut open: Vec<StepId> = open.map(|(step, _)| step.id.clone()).collect();
    open.sort_unstable();
    open
}

pub(crate) fn filters() -> Vec<RunFilter> {
    let words = |words: &[&str]| RunFilter {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..RunFilter::default()
    };
    let status = |status: &[RunStatus]| RunFilter { status: status.to_vec(), ..RunFilter::default() };
    vec![
        RunFilter::default(),
        status(&[RunStatus::Running]),
        status(&[RunStatus::Waiting, RunStatus::Blocked, RunStatus::Cancelled]),
        status(&[RunStatus::Succeeded, RunStatus::Failed]),
        RunFilter { labels: vec![("team".into(), Some("t1".into()))], ..RunFilter::default() },
        RunFilter { labels: vec![("team".into(), None)], ..status(&[RunStatus::Paused, RunStatus::Waiting]) },
        RunFilter { pipeline: vec!["everything".into()], ..RunFilter::default() },
        RunFilter { pipeline: vec!["nothing".into()], ..RunFilter::default() },
        RunFilter { pipeline: vec!["nothing".into(), "everything".into()], ..RunFilter::default() },
        RunFilter { started_after: Some(Timestamp(1_790_000_002_600)), ..RunFilter::default() },
        RunFilter { step: Some("a".into()), ..RunFilter::default() },
        RunFilter { awaiting: Some("product".into()), ..RunFilter::default() },
        words(&["GRÖSSE"]),
        words(&["größe", "ver"]),
        words(&["de", "t2"]),
        words(&["dead"]),
        words(&["0198c1f0-0000"]),
        words(&["iver gr"]),
    ]
}

/// What a filter says, looked at row by row.
fn fits(filter: &RunFilter, row: &RunRow) -> bool {
    let shown = &row.shown;
    let mut texts = vec![row.pipeline.to_lowercase(), row.title.clone().unwrap_or_default().to_lowercase()];
    texts.extend(shown.labels.iter().flat_map(|(key, value)| [key.to_lowercase(), value.to_lowercase()]));
    let begins = |text: &str, word: &str| {
        text.split(|char: char| !char.is_alphanumeric()).any(|part| part.starts_with(word))
    };
    let mentions = |word: &String| {
        let word = word.to_lowercase();
        let in_text = |text: &String| {
            if word.chars().count() < 3 { begins(text, &word) } else { text.contains(&word) }
        };
        let is_id = word.len() >= 4 && word.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
        texts.iter().any(in_text)
            || (is_id && (row.id.to_string().starts_with(&word) || row.short_id.starts_with(&word)))
    };
    (filter.status.is_empty() || filter.status.contains(&shown.status))
        && (filter.pipeline.is_empty() || filter.pipeline.contains(&row.pipeline))
        && filter.labels.iter().all(|(key, value)| {
            shown.labels.get(key).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
        })
        && filter.started_after.is_none_or(|after| row.started_at > after)
        && filter.step.as_ref().is_none_or(|step| shown.steps.iter().any(|other| other.as_str() == step))
        && filter.awaiting.as_ref().is_none_or(|role| {
            shown.awaits.iter().any(|awaits| awaits.roles.is_empty() || awaits.roles.contains(role))
        })
        && filter.words.iter().all(mentions)
}

fn pages(models: &Models, filter: &RunFilter, order: RunOrder, at: Option<Position>) -> Vec<RunRow> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = models.runs().unwrap().list(filter, order, cursor, 3, at).unwrap();
        assert!(page.items.len() == 3 || page.next.is_none());
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

/// Every answer of every model.
fn everything(models: &Models, at: Option<Position>) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for (number, filter) in filters().iter().enumerate() {
        for order in [RunOrder::Newest, RunOrder::Oldest, RunOrder::EndedLast, RunOrder::EndedFirst] {
            let rows = pages(models, filter, order, at);
            answers.push((format!("runs {number} {order:?}"), json!(rows)));
        }
    }
    for group_by in [GroupBy::Status, GroupBy::Stage] {
        answers.push((
            format!("board {group_by:?}"),
            json!(models.runs().unwrap().board(group_by, at, 2).unwrap()),
        ));
    }
    answers.push(("counts".into(), json!(models.runs().unwrap().counts(at).unwrap())));
    for filter in [
        GateFilter::default(),
        GateFilter { verdict: Some(Verdict::Fail), gate: Some("checked".into()), ..GateFilter::default() },
        GateFilter {
            pipeline: Some("everything".into()),
            verdict: Some(Verdict::Pass),
            ..GateFilter::default()
        },
    ] {
        let filter = GateFilter { until: at, ..filter };
        let (mut places, mut cursor) = (Vec::new(), None);
        loop {
            let page = models.audit().unwrap().gates(&filter, cursor, 2).unwrap();
            places.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        answers.push((format!("gates {:?} {:?}", filter.verdict, filter.pipeline), json!(places)));
    }
    for (number, filter) in decision_filters().into_iter().enumerate() {
        let filter = DecisionFilter { until: at, ..filter };
        answers.push((format!("decisions {number}"), json!(decisions(models, &filter))));
    }
    for (word, by) in SpendBy::ALL {
        for filter in [
            SpendFilter::default(),
            SpendFilter { pipeline: Some("everything".into()), ..SpendFilter::default() },
            SpendFilter { run: Some(RandomRun::begin(1).run), ..SpendFilter::default() },
        ] {
            answers.push((format!("spend {word}"), json!(models.spend().by(by, &filter, at).unwrap())));
        }
    }
    for filter in [
        StageFilter::default(),
        StageFilter { is_open: Some(true), ..StageFilter::default() },
        StageFilter { stage: Some("making".into()), ..StageFilter::default() },
        StageFilter { stage: Some("deciding".into()), is_open: Some(false), item: None },
        StageFilter { item: Some("007".into()), ..StageFilter::default() },
    ] {
        let (mut tasks, mut cursor) = (Vec::new(), None);
        loop {
            let page = models.stages().unwrap().list(&filter, cursor, 2, at).unwrap();
            tasks.extend(page.items.into_iter().map(|row| format!("{row:?}")));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        answers.push((format!("stages {filter:?}"), json!(tasks)));
    }
    for role in [None, Some("product")] {
        let (mut tasks, mut cursor) = (Vec::new(), None);
        loop {
            let page = models.inbox().unwrap().list(role, None, cursor, 2, at).unwrap();
            tasks.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        answers.push((format!("inbox {role:?}"), json!(tasks)));
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// The list's status and labels are the run's own, whatever happened; the inbox asks what the run awaits.
    #[test]
    fn the_models_agree_with_the_runs_own_state(choices in choices(120)) {
        let mut drawn = RandomRun::begin(5);
        let mut models = Models::in_memory().unwrap();
        for (_, which, how) in choices {
            drawn.step(which, how);
            // The definition stands before the run.
            let behind = |event: &Envelope| Envelope { position: event.position.next(), ..event.clone() };
            let events = drawn.events.iter().map(behind);
            let events: Vec<_> =
                std::iter::once(RandomRun::definition_saved()).chain(events).map(Arc::new).collect();
            apply(&mut models, &events);
            let row = models.runs().unwrap().get(drawn.run, None).unwrap().unwrap();
            let trace: Vec<&str> = drawn
                .events
                .iter()
                .filter_map(|event| everfold_core::event::RunEvent::name_of(event.header.kind))
                .collect();
            prop_assert_eq!(row.shown.status, drawn.state.status(), "after {:?}", trace);
            prop_assert_eq!(&*row.shown.labels, drawn.state.labels(), "after {:?}", trace);
            prop_assert_eq!(&*row.shown.search, drawn.state.search(), "after {:?}", trace);
            prop_assert_eq!(row.version, drawn.state.version());
            prop_assert_eq!(row.step_counts, Some(step_counts(&drawn.state)), "after {:?}", trace);
            prop_assert_eq!(&row.shown.steps, &open_steps(&drawn.state), "after {:?}", trace);
            let (usage, total) = (row.shown.usage, drawn.state.usage());
            let spent = (usage.input_tokens, usage.output_tokens, usage.cost_micros);
            prop_assert_eq!(spent, (total.input_tokens, total.output_tokens, total.cost_micros), "after {:?}", trace);
            let failure = row.shown.failure.map(|failed| (failed.step, failed.failure));
            let wanted = drawn.state.failure().map(|(failure, path)| {
                (path.map(ToString::to_string), Failure { detail: None, ..failure.clone() })
            });
            prop_assert_eq!(failure, wanted, "after {:?}", trace);
            let awaited = drawn.state.awaited();
            let open = |id: &AttemptId, is_blocked| Task::id_of(drawn.run, id, is_blocked);
            let reminders = |it: &Awaited| drawn.state.reminded(it).map_or((0, None), |it| (it.count, it.next));
            let mut wanted: Vec<(String, u32, Option<Timestamp>)> = Vec::new();
            for it in &awaited {
                let (count, next) = reminders(it);
                match it {
                    Awaited::Approval { id, .. } | Awaited::Question { id, .. } => {
                        wanted.push((open(id, false), count, next));
                    }
                    Awaited::Unblock { path, .. } => {
                        let round = drawn.state.attempt_of(path).unwrap().round;
                        let id = AttemptId { path: path.clone(), round, attempt: Attempt::FIRST };
                        wanted.push((open(&id, true), count, next));
                    }
                    Awaited::Timer { .. }
                    | Awaited::Signal { .. }
                    | Awaited::Resume
                    | Awaited::Budget { .. } => {}
                }
            }
            wanted.sort();
            let asked = models.inbox().unwrap().list(None, None, None, 1_000, None).unwrap().items;
            // Of what budgets hold the first is shown, whatever comes next.
            let asked = asked.into_iter().filter(|task| !matches!(task.kind, TaskKind::Budget { .. }));
            let mut asked: Vec<_> = asked.map(|task| (task.id, task.reminded, task.remind_at)).collect();
            asked.sort();
            prop_assert_eq!(asked, wanted, "after {:?}", trace);
        }
    }

    /// What the indexes find is what looking at every row finds.
    #[test]
    fn lists_by_index_equal_lists_row_by_row(choices in choices(160)) {
        let (_, log) = log(&choices, 9);
        let models = folded(&log);
        let all = pages(&models, &RunFilter::default(), RunOrder::Newest, None);
        for filter in filters() {
            let wanted: Vec<_> = all.iter().filter(|row| fits(&filter, row)).cloned().collect();
            prop_assert_eq!(pages(&models, &filter, RunOrder::Newest, None), wanted, "{:?}", filter);
        }
    }

    /// Kept up event by event, with checkpoints, repeats and new processes in between: the same answers as
    /// folded from the first event at once.
    #[test]
    fn rebuilt_from_zero_equals_kept_live_and_gone_on_with_from_any_checkpoint(
        choices in choices(120),
        cuts in prop::collection::vec((1_usize..40, 0_u8..5), 1..40),
    ) {
        let (_, log) = log(&choices, 7);
        let mut live = Models::in_memory().unwrap();
        let (mut from, mut cuts) = (0, cuts.into_iter().cycle());
        while from < log.len() {
            let (length, then) = cuts.next().unwrap();
            let to = (from + length).min(log.len());
            apply(&mut live, &log[from.saturating_sub(2)..to]);
            from = to;
            match then {
                0 => live.checkpoint().unwrap(),
                1 => {
                    live.checkpoint().unwrap();
                    live = live.reopened().unwrap();
                }
                2 | 3 => {
                    // A crash, perhaps in the middle of a checkpoint: what was not put away is folded again.
                    if then == 3 {
                        live.torn_checkpoint().unwrap();
                    }
                    live = live.reopened().unwrap();
                    let position = usize::try_from(live.position().0).unwrap();
                    apply(&mut live, &log[position..to]);
                }
                _ => {}
            }
        }
        let rebuilt = folded(&log);
        for (now, then) in everything(&live, None).into_iter().zip(everything(&rebuilt, None)) {
            prop_assert_eq!(now, then);
        }
    }

    /// Every view as of a position equals a fold that stopped there.
    #[test]
    fn as_of_a_position_equals_a_rebuild_stopped_there(
        choices in choices(120),
        at in prop::collection::vec(any::<prop::sample::Index>(), 4),
        reopens in any::<bool>(),
    ) {
        let (_, log) = log(&choices, 7);
        let mut whole = folded(&log);
        if reopens {
            whole.checkpoint().unwrap();
            whole = whole.reopened().unwrap();
        }
        for at in at {
            let at = at.index(log.len() + 1);
            let position = Position(at as u64);
            let stopped = folded(&log[..at]);
            let then = everything(&stopped, None);
            for (past, then) in everything(&whole, Some(position)).into_iter().zip(then) {
                prop_assert_eq!(past, then, "at {}", position);
            }
        }
    }
}

/// Drawn positions hit the end of a log hardly ever, where the indexes of now answer.
#[test]
fn as_of_each_position_of_a_short_log_its_last_one_too_equals_a_rebuild_stopped_there() {
    let (_, log) = log(&[(0, 0, 0)], 7);
    let whole = folded(&log);
    for at in 0..=log.len() {
        let stopped = folded(&log[..at]);
        let past = everything(&whole, Some(Position(at as u64)));
        for (past, then) in past.into_iter().zip(everything(&stopped, None)) {
            assert_eq!(past, then, "at {at}");
        }
    }
}

#[test]
fn lists_are_newest_first_and_cut_by_a_cursor() {
    let log: Vec<Arc<Envelope>> = (0..5)
        .map(|number| {
            let event = RandomRun::begin(number).events[0].clone();
            Arc::new(Envelope { position: Position(number + 1), ..event })
        })
        .collect();
    let models = folded(&log);
    let list = |cursor, limit| {
        models.runs().unwrap().list(&RunFilter::default(), RunOrder::Newest, cursor, limit, None).unwrap()
    };
    let positions = |rows: &[RunRow]| rows.iter().map(|row| row.position.get()).collect::<Vec<_>>();
    assert_eq!((positions(&list(None, 10).items), list(None, 10).next), (vec![5, 4, 3, 2, 1], None));
    let first = list(None, 2);
    assert_eq!(positions(&first.items), [5, 4]);
    assert_eq!(positions(&list(first.next, 2).items), [3, 2]);
    assert_eq!(models.runs().unwrap().nth_newest(1).unwrap(), Some(RandomRun::begin(3).run));
    assert_eq!(models.runs().unwrap().with_short("dead", 10).unwrap().len(), 5);
}

/// The row of a run is packed among others at its end. What came behind the end between two checkpoints was dropped by the
/// second, where the run had been shown before its end.
#[test]
fn what_comes_behind_the_end_of_a_run_is_kept_by_checkpoints() {
    for (shown_before, checkpoint_before) in [(true, false), (true, true), (false, false)] {
        let mut run = RandomRun::begin(0);
        let mut log: Vec<Arc<Envelope>> = vec![Arc::new(RandomRun::definition_saved())];
        let mut models = Models::in_memory().unwrap();
        let mut tell = |models: &mut Models, run: &RandomRun| {
            let begun = log.len();
            for event in &run.events[begun - 1..] {
                let position = Position(log.len() as u64 + 1);
                log.push(Arc::new(Envelope { position, ..event.clone() }));
            }
            let from = if begun == 1 { 0 } else { begun };
            apply(models, &log[from..]);
        };
        if shown_before {
            tell(&mut models, &run);
        }
        if checkpoint_before {
            models.checkpoint().unwrap();
        }
        run.cancel();
        // What works is stopped first.
        for _ in 0..50 {
            if !run.state.is_ended() {
                run.step(0, 1);
            }
        }
        tell(&mut models, &run);
        assert!(run.state.is_ended());
        run.note();
        tell(&mut models, &run);
        let version = |models: &Models| {
            let rows = models.runs().unwrap().list(&RunFilter::default(), RunOrder::Newest, None, 9, None);
            rows.unwrap().items.iter().map(|row| row.version).collect::<Vec<_>>()
        };
        let seen = version(&models);
        assert_eq!(seen.len(), 1);
        models.checkpoint().unwrap();
        assert_eq!(version(&models), seen, "{shown_before} {checkpoint_before}");
        let models = models.reopened().unwrap();
        assert_eq!(version(&models), seen, "{shown_before} {checkpoint_before}");
    }
}
