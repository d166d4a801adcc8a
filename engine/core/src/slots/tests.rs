use std::collections::BTreeSet;

use super::*;
use everfold_base::id::{Position, RunId};
use everfold_language::definition::{OnLimit, OnTaken, Release};

fn run(n: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(n))
}

fn slot(limit: u32, on_limit: OnLimit) -> WantedSlot {
    WantedSlot { key: "repo".into(), kind: SlotKind::Concurrency { limit, on_limit } }
}

fn identity(release: Release, on_taken: OnTaken) -> WantedSlot {
    WantedSlot { key: "task-1".into(), kind: SlotKind::Identity { release, on_taken } }
}

/// What a start finds while no run is paused.
fn available(
    key: &SlotState,
    slot: &WantedSlot,
    aside: usize,
    ancestors: &[RunId],
    leaving: &[RunId],
) -> Availability {
    let start = StartDemand { slot, ancestors, leaving, is_paused: false };
    super::available(key, &start, aside, &BTreeSet::new())
}

/// A key and everything that happened to it.
#[derive(Default)]
struct KeyHistory(SlotState);

impl KeyHistory {
    fn give(&mut self, input: &SlotInput, aside: usize) -> Vec<String> {
        self.give_while(input, aside, &[])
    }

    /// The same while some runs are paused.
    fn give_while(&mut self, input: &SlotInput, aside: usize, still: &[u128]) -> Vec<String> {
        let still = still.iter().map(|n| run(*n)).collect();
        let events = decide(&self.0, input, aside, &still);
        for event in &events {
            let (kind, schema, bytes) = event.encode().unwrap();
            assert_eq!(&SlotEvent::decode(kind, schema, &bytes).unwrap(), event);
            self.0.apply(event);
        }
        let short = |run: &RunId| run.0.as_u128();
        events
            .iter()
            .map(|event| match event {
                SlotEvent::SlotRequested(event) => format!("requested {}", short(&event.run)),
                SlotEvent::SlotGranted(event) => format!("granted {}", short(&event.run)),
                SlotEvent::SlotReleased(event) => format!("released {}", short(&event.run)),
                SlotEvent::SlotShared(event) => {
                    format!("{} under {}", short(&event.run), short(&event.under))
                }
            })
            .collect()
    }

    fn request(&mut self, n: u128, slot: WantedSlot, priority: i32) -> Vec<String> {
        let began = Position(u64::try_from(n).unwrap());
        self.give(&SlotInput::Request(Demand { run: run(n), slot, priority, began, ancestors: vec![] }), 0)
    }

    /// As a run that those wait for, the nearest first.
    fn request_under(&mut self, n: u128, slot: WantedSlot, ancestors: &[u128]) -> Vec<String> {
        let began = Position(u64::try_from(n).unwrap());
        let ancestors = ancestors.iter().copied().map(run).collect();
        self.give(&SlotInput::Request(Demand { run: run(n), slot, priority: 0, began, ancestors }), 0)
    }

    fn end(&mut self, n: u128, reason: ReleaseReason) -> Vec<String> {
        self.give(&SlotInput::Release(run(n), reason), 0)
    }
}

#[test]
fn d9_slots_go_by_priority_and_then_in_the_order_of_the_runs() {
    let mut key = KeyHistory::default();
    let two = || slot(2, OnLimit::Queue);
    assert_eq!(key.request(1, two(), 0), ["granted 1"]);
    assert_eq!(key.request(2, two(), 0), ["granted 2"]);
    assert_eq!(key.request(4, two(), 0), ["requested 4"]);
    assert_eq!(key.request(3, two(), 0), ["requested 3"], "it began before, its request came later");
    assert_eq!(key.request(5, two(), 7), ["requested 5"]);
    assert!(key.request(4, two(), 0).is_empty(), "a repeated request");
    assert_eq!(key.end(1, ReleaseReason::Failed), ["released 1", "granted 5"]);
    assert_eq!(key.end(5, ReleaseReason::Succeeded), ["released 5", "granted 3"]);
    assert_eq!(key.end(4, ReleaseReason::Cancelled), ["released 4"], "it stops waiting");
    assert!(key.end(4, ReleaseReason::Cancelled).is_empty(), "a repeated release");
    assert_eq!(key.end(2, ReleaseReason::Succeeded), ["released 2"]);
    assert_eq!(key.end(3, ReleaseReason::Succeeded), ["released 3"]);
    assert!(key.0.is_free() && !key.0.is_busy());
}

#[test]
fn d9_a_slot_that_a_start_has_found_free_is_nobody_elses() {
    let mut key = KeyHistory::default();
    let one = || slot(1, OnLimit::Reject);
    assert_eq!(available(&key.0, &one(), 0, &[], &[]), Availability::Free);
    assert_eq!(available(&key.0, &one(), 1, &[], &[]), Availability::Full);
    let ancestors = Vec::new();
    let demand =
        Demand { run: run(2), slot: slot(1, OnLimit::Queue), priority: 0, began: Position(2), ancestors };
    assert_eq!(key.give(&SlotInput::Request(demand), 1), ["requested 2"]);
    assert_eq!(key.give(&SlotInput::Look, 1), [""; 0]);
    assert_eq!(key.give(&SlotInput::Look, 0), ["granted 2"], "the start came to nothing");
}

#[test]
fn d9_who_replaces_a_run_does_not_find_that_runs_slot_taken() {
    let mut key = KeyHistory::default();
    let two = || slot(2, OnLimit::Reject);
    key.request(1, two(), 0);
    key.request(2, two(), 0);
    assert_eq!(available(&key.0, &two(), 0, &[], &[]), Availability::Full);
    assert_eq!(available(&key.0, &two(), 0, &[], &[run(3)]), Availability::Full);
    assert_eq!(available(&key.0, &two(), 0, &[], &[run(1)]), Availability::Waits, "it begins after its end");
    assert_eq!(
        available(&key.0, &two(), 1, &[], &[run(1)]),
        Availability::Full,
        "another start is on the way"
    );
    assert_eq!(key.request(4, slot(2, OnLimit::Queue), 0), ["requested 4"]);
    assert_eq!(available(&key.0, &two(), 0, &[], &[run(1)]), Availability::Full, "another one is before it");
}

#[test]
fn d9_the_oldest_holder_that_nobody_sent_away_yet_makes_room() {
    let mut key = KeyHistory::default();
    let two = || slot(2, OnLimit::CancelOldest);
    for n in 1..=5 {
        key.request(n, two(), 0);
    }
    let victims = |key: &KeyHistory, n: u128| key.0.waits(run(n)).unwrap().evicted.clone();
    // All holders are on their way out: the oldest of those that come in their place is next.
    assert_eq!([3, 4, 5].map(|n| victims(&key, n)), [[run(1)], [run(2)], [run(3)]]);
    // It goes before it held anything, and the one that it had sent away is not sent away again.
    assert_eq!(key.end(3, ReleaseReason::Cancelled), ["released 3"]);
    key.request(6, two(), 0);
    assert_eq!(victims(&key, 6), [run(4)]);
    assert_eq!(key.end(1, ReleaseReason::Cancelled), ["released 1", "granted 4"]);
    assert_eq!(key.end(2, ReleaseReason::Cancelled), ["released 2", "granted 5"]);
    assert_eq!(key.end(4, ReleaseReason::Cancelled), ["released 4", "granted 6"]);
    key.request(7, two(), 0);
    assert_eq!(victims(&key, 7), [run(5)], "it has held one longest");
}

#[test]
fn d9_a_run_shares_the_slot_of_the_one_that_waits_for_it() {
    let mut key = KeyHistory::default();
    let one = || slot(1, OnLimit::CancelOldest);
    key.request(1, one(), 0);
    assert_eq!(available(&key.0, &slot(1, OnLimit::Reject), 0, &[run(1)], &[]), Availability::Shared);
    assert_eq!(key.request_under(2, one(), &[1]), ["2 under 1"], "no holder is evicted");
    assert_eq!(key.request_under(3, one(), &[2, 1]), ["3 under 2"]);
    assert!(key.request_under(3, one(), &[2, 1]).is_empty(), "a repeated request");
    assert_eq!(key.request(4, slot(1, OnLimit::Queue), 0), ["requested 4"], "sharers count for nothing");
    assert_eq!(key.end(2, ReleaseReason::Failed), ["released 2"]);
    assert_eq!(key.end(1, ReleaseReason::Cancelled), ["released 1"], "the sharer that is left has the slot");
    assert!(key.0.holds(run(3)) && !key.0.holds(run(4)));
    assert_eq!(key.end(3, ReleaseReason::Succeeded), ["released 3", "granted 4"]);
}

#[test]
fn d9_a_run_that_waits_for_the_one_that_waits_for_it_shares_its_slot_when_it_asks_again() {
    let mut key = KeyHistory::default();
    let one = || slot(1, OnLimit::Queue);
    key.request(1, one(), 0);
    assert_eq!(key.request(2, one(), 0), ["requested 2"]);
    assert_eq!(key.request_under(2, one(), &[1]), ["2 under 1"]);
    assert!(key.0.queue().is_empty());
    assert_eq!(key.end(1, ReleaseReason::Failed), ["released 1"]);
    assert_eq!(key.request(3, one(), 0), ["requested 3"]);
}

#[test]
fn l4_the_key_of_the_one_that_waits_for_it_is_neither_its_answer_nor_to_be_replaced() {
    let mut key = KeyHistory::default();
    let wanted = |on_taken| identity(Release::Ended, on_taken);
    key.request(1, wanted(OnTaken::Return), 0);
    for on_taken in [OnTaken::Return, OnTaken::Reject, OnTaken::Replace] {
        assert_eq!(available(&key.0, &wanted(on_taken), 0, &[run(1)], &[]), Availability::Taken(run(1)));
    }
}

#[test]
fn l4_a_key_has_one_holder_until_its_end() {
    let mut key = KeyHistory::default();
    let wanted = |on_taken| identity(Release::Ended, on_taken);
    assert_eq!(key.request(1, wanted(OnTaken::Return), 0), ["granted 1"]);
    assert_eq!(available(&key.0, &wanted(OnTaken::Return), 0, &[], &[]), Availability::Held(run(1)));
    assert_eq!(available(&key.0, &wanted(OnTaken::Reject), 0, &[], &[]), Availability::Taken(run(1)));
    assert_eq!(available(&key.0, &wanted(OnTaken::Replace), 0, &[], &[]), Availability::Waits);
    assert_eq!(key.request(2, wanted(OnTaken::Replace), 0), ["requested 2"]);
    assert_eq!(key.0.waits(run(2)).unwrap().evicted, [run(1)]);
    assert_eq!(available(&key.0, &wanted(OnTaken::Return), 0, &[], &[]), Availability::Held(run(2)));
    assert_eq!(key.end(1, ReleaseReason::Cancelled), ["released 1", "granted 2"]);
    assert_eq!(key.end(2, ReleaseReason::Succeeded), ["released 2"]);
    assert_eq!(available(&key.0, &wanted(OnTaken::Return), 0, &[], &[]), Availability::Free);
}

#[test]
fn l4_a_key_that_no_success_releases_stays_with_the_run_until_somebody_replaces_it() {
    let mut key = KeyHistory::default();
    let wanted = |on_taken| identity(Release::Unsuccessful, on_taken);
    key.request(1, wanted(OnTaken::Return), 0);
    key.end(1, ReleaseReason::Failed);
    assert_eq!(available(&key.0, &wanted(OnTaken::Return), 0, &[], &[]), Availability::Free);
    key.request(2, wanted(OnTaken::Return), 0);
    assert_eq!(key.end(2, ReleaseReason::Succeeded), ["released 2"]);
    assert_eq!(available(&key.0, &wanted(OnTaken::Return), 0, &[], &[]), Availability::Held(run(2)));
    assert!(!key.0.is_busy(), "nothing of it is to be looked after");
    assert!(key.end(2, ReleaseReason::Succeeded).is_empty());
    assert_eq!(key.request(3, wanted(OnTaken::Replace), 0), ["released 2", "granted 3"]);
}

#[test]
fn the_order_of_keys_is_the_same_for_every_run_and_identities_are_keys_of_their_own() {
    let named = |key: &str| WantedSlot { key: key.into(), ..slot(1, OnLimit::Queue) };
    let id = WantedSlot { key: "b".into(), ..identity(Release::Ended, OnTaken::Return) };
    let names = |slots: &[WantedSlot]| -> Vec<String> {
        in_order(slots).into_iter().map(|(stream, _)| stream.to_string()).collect()
    };
    let wanted = ["key/identity:b", "key/slot:a", "key/slot:b"];
    assert_eq!(names(&[named("b"), id.clone(), named("a")]), wanted);
    assert_eq!(names(&[id, named("a"), named("b")]), wanted);
    let long = names(&[named(&"x".repeat(500)), named("a\nb")]);
    assert!(long.iter().all(|name| name.len() < 120), "{long:?}");
}

#[test]
fn row_49_who_stands_still_is_passed_over_and_keeps_its_place() {
    let mut key = KeyHistory::default();
    let one = || slot(1, OnLimit::Queue);
    let demand = |n: u128| {
        let began = Position(u64::try_from(n).unwrap());
        SlotInput::Request(Demand { run: run(n), slot: one(), priority: 0, began, ancestors: vec![] })
    };
    assert_eq!(key.request(1, one(), 0), ["granted 1"]);
    assert_eq!(key.request(2, one(), 0), ["requested 2"]);
    assert_eq!(key.request(3, one(), 0), ["requested 3"]);
    let release = SlotInput::Release(run(1), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 1", "granted 3"]);
    let release = SlotInput::Release(run(3), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 3"]);
    // Only paused runs stand before it.
    assert_eq!(key.give_while(&demand(4), 0, &[2]), ["granted 4"]);
    assert_eq!(key.give_while(&demand(5), 0, &[2]), ["requested 5"]);
    let release = SlotInput::Release(run(4), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[2, 5]), ["released 4"]);
    // It goes on, and wants its slot once more.
    assert_eq!(key.give_while(&demand(2), 0, &[5]), ["granted 2"]);
    // A run that is paused from the start gets none.
    assert_eq!(key.end(2, ReleaseReason::Succeeded), ["released 2", "granted 5"]);
    assert_eq!(key.end(5, ReleaseReason::Succeeded), ["released 5"]);
    assert_eq!(key.give_while(&demand(6), 0, &[6]), ["requested 6"]);
    assert_eq!(key.give_while(&demand(6), 0, &[]), ["granted 6"]);
}

#[test]
fn row_49_a_start_that_may_not_wait_gets_what_only_those_that_stand_still_wait_for() {
    let mut key = KeyHistory::default();
    let wanted = |on_limit| slot(1, on_limit);
    key.request(1, wanted(OnLimit::Queue), 0);
    key.request(2, wanted(OnLimit::Queue), 0);
    let found = |key: &KeyHistory, leaving: &[RunId], still: &[u128]| {
        let still = still.iter().map(|n| run(*n)).collect();
        let (slot, ancestors) = (&wanted(OnLimit::Reject), &[]);
        let start = StartDemand { slot, ancestors, leaving, is_paused: false };
        super::available(&key.0, &start, 0, &still)
    };
    assert_eq!(found(&key, &[], &[2]), Availability::Full);
    assert_eq!(found(&key, &[run(1)], &[2]), Availability::Waits, "it begins after its end");
    assert_eq!(found(&key, &[run(1)], &[]), Availability::Full, "another one is before it");
    let release = SlotInput::Release(run(1), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 1"]);
    assert_eq!(found(&key, &[], &[2]), Availability::Free);
    assert_eq!(found(&key, &[], &[]), Availability::Full, "it goes on");
    // The run that claimed an identity has it, also while it is paused.
    let mut key = KeyHistory::default();
    let wanted = identity(Release::Ended, OnTaken::Return);
    key.request(1, wanted.clone(), 0);
    key.request(2, identity(Release::Ended, OnTaken::Replace), 0);
    let release = SlotInput::Release(run(1), ReleaseReason::Cancelled);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 1"]);
    let still = BTreeSet::from([run(2)]);
    for is_paused in [false, true] {
        let start = StartDemand { slot: &wanted, ancestors: &[], leaving: &[], is_paused };
        assert_eq!(super::available(&key.0, &start, 0, &still), Availability::Held(run(2)));
    }
}

/// Starts under a pause found the slot free, each of them, and all but the first queued though they may not wait.
#[test]
fn d9_of_starts_under_a_pause_that_may_not_wait_as_many_are_let_in_as_there_are_slots() {
    let mut key = KeyHistory::default();
    let two = || slot(2, OnLimit::Reject);
    let demand = |n: u128| {
        let began = Position(u64::try_from(n).unwrap());
        SlotInput::Request(Demand { run: run(n), slot: two(), priority: 0, began, ancestors: vec![] })
    };
    let found = |key: &KeyHistory, reserved: usize, leaving: &[RunId], longer: &[u128]| {
        let longer = longer.iter().map(|n| run(*n)).collect();
        let start = StartDemand { slot: &two(), ancestors: &[], leaving, is_paused: true };
        super::available(&key.0, &start, reserved, &longer)
    };
    assert_eq!(key.request(1, two(), 0), ["granted 1"], "it began before the pause");
    assert_eq!(found(&key, 0, &[], &[]), Availability::Free);
    assert_eq!(found(&key, 1, &[], &[]), Availability::Full, "another start is on the way");
    assert_eq!(key.give_while(&demand(2), 0, &[2]), ["requested 2"]);
    assert_eq!(found(&key, 0, &[], &[]), Availability::Full, "the one that waits gets the last slot");
    assert_eq!(found(&key, 0, &[run(1)], &[]), Availability::Waits, "it begins after its end");
    assert_eq!(found(&key, 0, &[run(2)], &[]), Availability::Waits);
    assert_eq!(found(&key, 0, &[], &[2]), Availability::Free, "that one is paused for longer");
    let release = SlotInput::Release(run(1), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 1"]);
    assert_eq!(found(&key, 0, &[], &[]), Availability::Free);
    assert_eq!(key.give_while(&demand(3), 0, &[2, 3]), ["requested 3"]);
    assert_eq!(found(&key, 0, &[], &[]), Availability::Full);
    // Those that may wait do.
    let queues = slot(2, OnLimit::Queue);
    let start = StartDemand { slot: &queues, ancestors: &[], leaving: &[], is_paused: true };
    assert_eq!(super::available(&key.0, &start, 0, &BTreeSet::new()), Availability::Waits);
    assert_eq!(key.give_while(&SlotInput::Look, 0, &[]), ["granted 2", "granted 3"], "the pause is over");
}

/// A run with `release: unsuccessful` that succeeded while another one waited to replace it kept its key, and that one stood
/// in the queue for ever.
#[test]
fn l4_who_waits_to_replace_a_run_begins_also_where_that_one_succeeds_and_would_keep_the_key() {
    let mut key = KeyHistory::default();
    let once = |on_taken| identity(Release::Unsuccessful, on_taken);
    assert_eq!(key.request(1, once(OnTaken::Return), 0), ["granted 1"]);
    assert_eq!(key.request(2, once(OnTaken::Replace), 0), ["requested 2"]);
    assert_eq!(key.end(1, ReleaseReason::Succeeded), ["released 1", "released 1", "granted 2"]);
    assert_eq!(key.end(2, ReleaseReason::Succeeded), ["released 2"]);
    assert_eq!(available(&key.0, &once(OnTaken::Return), 0, &[], &[]), Availability::Held(run(2)));
    // One that gave up waiting lets the key be kept.
    assert_eq!(key.request(3, once(OnTaken::Replace), 0), ["released 2", "granted 3"]);
    assert_eq!(key.request(4, once(OnTaken::Replace), 0), ["requested 4"]);
    assert_eq!(key.end(4, ReleaseReason::Cancelled), ["released 4"]);
    assert_eq!(key.end(3, ReleaseReason::Succeeded), ["released 3"]);
    assert!(!key.0.is_free());
}

/// A run that started under a pause of its pipeline evicted the oldest one, and did not begin.
#[test]
fn d9_a_paused_run_evicts_none_until_its_pause_is_over() {
    let mut key = KeyHistory::default();
    let one = || slot(1, OnLimit::CancelOldest);
    let demand = |n: u128| {
        let began = Position(u64::try_from(n).unwrap());
        SlotInput::Request(Demand { run: run(n), slot: one(), priority: 0, began, ancestors: vec![] })
    };
    let victims = |key: &KeyHistory, n: u128| key.0.waits(run(n)).unwrap().evicted.clone();
    assert_eq!(key.request(1, one(), 0), ["granted 1"]);
    assert_eq!(key.give_while(&demand(2), 0, &[2]), ["requested 2"]);
    assert_eq!(victims(&key, 2), []);
    assert!(key.give_while(&demand(2), 0, &[2]).is_empty(), "a repeated request");
    assert_eq!(key.give_while(&demand(2), 0, &[]), ["requested 2"], "its pause is over");
    assert_eq!(victims(&key, 2), [run(1)]);
    assert!(key.give_while(&demand(2), 0, &[]).is_empty(), "it evicts once");
    assert_eq!(key.end(1, ReleaseReason::Cancelled), ["released 1", "granted 2"]);
    // A slot that came free while the run was paused is its own, and the slot evicts no run for it.
    assert_eq!(key.give_while(&demand(3), 0, &[3]), ["requested 3"]);
    let release = SlotInput::Release(run(2), ReleaseReason::Succeeded);
    assert_eq!(key.give_while(&release, 0, &[3]), ["released 2"]);
    assert_eq!(key.give_while(&demand(3), 0, &[]), ["granted 3"]);
}

#[test]
fn d9_of_runs_whose_pause_ends_the_newest_is_left_in_whichever_order_they_ask() {
    let one = || slot(1, OnLimit::CancelOldest);
    let demand = |n: u128| {
        let began = Position(u64::try_from(n).unwrap());
        SlotInput::Request(Demand { run: run(n), slot: one(), priority: 0, began, ancestors: vec![] })
    };
    for order in [[2, 3], [3, 2]] {
        let mut key = KeyHistory::default();
        key.request(1, one(), 0);
        for n in [2, 3] {
            assert_eq!(key.give_while(&demand(n), 0, &[n]), [format!("requested {n}")]);
        }
        for n in order {
            key.give_while(&demand(n), 0, &[]);
        }
        let mut evicted: Vec<RunId> =
            [2, 3].into_iter().flat_map(|n| key.0.waits(run(n)).unwrap().evicted.clone()).collect();
        evicted.sort_unstable();
        assert_eq!(evicted, [run(1), run(2)], "{order:?}");
        assert_eq!(key.end(2, ReleaseReason::Cancelled), ["released 2"]);
        assert_eq!(key.end(1, ReleaseReason::Cancelled), ["released 1", "granted 3"]);
    }
    // Of two slots each of them gets one, and no waiting run is evicted.
    let two = || slot(2, OnLimit::CancelOldest);
    let demand = |n: u128| {
        let began = Position(u64::try_from(n).unwrap());
        SlotInput::Request(Demand { run: run(n), slot: two(), priority: 0, began, ancestors: vec![] })
    };
    let mut key = KeyHistory::default();
    for n in [1, 2] {
        key.request(n, two(), 0);
    }
    for n in [3, 4] {
        key.give_while(&demand(n), 0, &[n]);
    }
    for n in [4, 3] {
        key.give_while(&demand(n), 0, &[]);
    }
    let evicted = [4, 3].map(|n| key.0.waits(run(n)).unwrap().evicted.clone());
    assert_eq!(evicted, [[run(1)], [run(2)]]);
}

/// The second start had a paused run cancelled, and waited for all of the first one.
#[test]
fn d9_a_paused_run_that_waits_is_not_evicted_and_the_next_that_comes_is() {
    let mut key = KeyHistory::default();
    let demand = |n: u128| {
        let (began, slot) = (Position(u64::try_from(n).unwrap()), slot(1, OnLimit::CancelOldest));
        SlotInput::Request(Demand { run: run(n), slot, priority: 0, began, ancestors: vec![] })
    };
    let victims = |key: &KeyHistory, n: u128| key.0.waits(run(n)).unwrap().evicted.clone();
    key.request(1, slot(1, OnLimit::Queue), 0);
    key.request(2, slot(1, OnLimit::Queue), 0);
    key.give_while(&demand(3), 0, &[2]);
    key.give_while(&demand(4), 0, &[2]);
    assert_eq!([3, 4].map(|n| victims(&key, n)), [[run(1)], [run(3)]]);
    key.end(3, ReleaseReason::Cancelled);
    let release = SlotInput::Release(run(1), ReleaseReason::Cancelled);
    assert_eq!(key.give_while(&release, 0, &[2]), ["released 1", "granted 4"]);
    assert_eq!(key.end(4, ReleaseReason::Succeeded), ["released 4", "granted 2"], "it kept its place");
    // One that is to evict the oldest when it goes on takes nothing before, either.
    key.give_while(&demand(5), 0, &[5]);
    key.give_while(&demand(6), 0, &[5]);
    assert_eq!(victims(&key, 6), [run(2)]);
    // Run 5 goes on, and comes first as it is: it evicts no run.
    key.give_while(&demand(5), 0, &[]);
    assert_eq!(victims(&key, 5), []);
    // A run that is not paused and is the next to come is evicted, whatever its own slot says.
    let mut key = KeyHistory::default();
    key.request(1, slot(1, OnLimit::Queue), 0);
    key.request(2, slot(1, OnLimit::Queue), 0);
    key.give_while(&demand(3), 0, &[]);
    key.give_while(&demand(4), 0, &[]);
    assert_eq!(
        victims(&key, 4),
        [run(2), run(3)],
        "the third would take the slot for which it evicted the first"
    );
}

#[test]
fn d9_no_run_is_evicted_by_which_no_slot_is_gained() {
    let mut key = KeyHistory::default();
    let victims = |key: &KeyHistory, n: u128| key.0.waits(run(n)).unwrap().evicted.clone();
    let two = || slot(2, OnLimit::CancelOldest);
    for n in 1..=3 {
        key.request(n, two(), 0);
    }
    key.end(3, ReleaseReason::Cancelled);
    key.request(4, two(), 0);
    assert_eq!(victims(&key, 4), [], "the slot of the first comes free, and nobody is before it");
    key.request(5, two(), 0);
    assert_eq!(victims(&key, 5), [run(2)], "the other one gets that of the first");
}

/// Of starts at once some stayed in line behind a run that none of them evicted, each with a run that it had evicted itself.
#[test]
fn d9_whoever_evicts_waits_for_no_run_that_stays_in_whichever_order_runs_ask_and_end() {
    let orders: Vec<[u128; 4]> = (0..24)
        .map(|mut number| {
            let mut left = vec![1, 2, 3, 4];
            [4, 3, 2, 1].map(|of| {
                let at = number % of;
                number /= of;
                left.remove(at)
            })
        })
        .collect();
    for (order, urgent, limit) in orders
        .iter()
        .flat_map(|order| (0..16_u128).flat_map(move |urgent| [1, 2].map(|limit| (order, urgent, limit))))
    {
        // After which of the four requests those end that were evicted by then.
        for ends in 0..16_u32 {
            let mut state = SlotState::default();
            let mut evicted: BTreeSet<RunId> = BTreeSet::new();
            let mut give = |input: SlotInput, evicted: &mut BTreeSet<RunId>| {
                for event in decide(&state, &input, 0, &BTreeSet::new()) {
                    if let SlotEvent::SlotRequested(event) = &event {
                        evicted.extend(&event.victims);
                    }
                    state.apply(&event);
                }
                state.clone()
            };
            let mut ended = BTreeSet::new();
            let mut last = SlotState::default();
            for (at, n) in order.iter().copied().enumerate() {
                let priority = if urgent & (1 << (n - 1)) == 0 { 0 } else { 5 };
                let began = Position(u64::try_from(n).unwrap());
                let slot = slot(limit, OnLimit::CancelOldest);
                let demand = Demand { run: run(n), slot, priority, began, ancestors: vec![] };
                last = give(SlotInput::Request(demand), &mut evicted);
                let all_end = at == 3 || ends & (1 << at) != 0;
                while let Some(gone) = evicted.difference(&ended).next().copied().filter(|_| all_end) {
                    ended.insert(gone);
                    last = give(SlotInput::Release(gone, ReleaseReason::Cancelled), &mut evicted);
                }
            }
            let of = format!("order {order:?}, urgent {urgent:04b}, limit {limit}, ends {ends:04b}");
            assert_eq!(last.queue(), [], "{of}");
            assert_eq!(last.held(), limit as usize, "{of}");
        }
    }
}

#[test]
fn d9_a_start_that_comes_first_by_its_priority_evicts_the_one_whose_slot_it_takes() {
    let one = || slot(1, OnLimit::CancelOldest);
    let mut key = KeyHistory::default();
    let victims = |key: &KeyHistory, n: u128| key.0.waits(run(n)).unwrap().evicted.clone();
    key.request(1, one(), 0);
    key.request(2, one(), 0);
    key.request(3, one(), 5);
    assert_eq!(victims(&key, 3), [run(2)]);
    key.request(4, one(), 0);
    assert_eq!(victims(&key, 4), [run(3)]);
    for n in [1, 2, 3] {
        key.end(n, ReleaseReason::Cancelled);
    }
    assert!(key.0.holds(run(4)));
}
