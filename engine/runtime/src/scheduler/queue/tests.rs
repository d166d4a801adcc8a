use std::time::Duration;

use crate::scheduler::queue::*;
use crate::scheduler::settings::{BreakerPolicy, RatePolicy};

const NOW: Timestamp = Timestamp(1_000);

/// A queue whose waiters are names, and the names that were served.
struct Bench {
    queue: SchedulerQueue<String>,
    busy: Vec<ServedWork<String>>,
    now: Timestamp,
}

impl Bench {
    fn new(processes: usize, resources: &[(&str, usize)]) -> Self {
        let resources = resources.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        Self::of(processes, &OrderConfig { resources, ..OrderConfig::default() })
    }

    fn of(processes: usize, config: &OrderConfig) -> Self {
        let classes = [(Class::Supervised, processes), (Class::Function, 1_000)];
        Self { queue: SchedulerQueue::new(config, classes), busy: Vec::new(), now: NOW }
    }

    fn join(&mut self, name: &str, priority: i32, group: &str, resources: &[&str]) -> u64 {
        self.join_service(name, priority, group, resources, &[])
    }

    fn join_service(
        &mut self,
        name: &str,
        priority: i32,
        group: &str,
        resources: &[&str],
        services: &[Service],
    ) -> u64 {
        let resources: Vec<String> = resources.iter().map(|name| (*name).to_owned()).collect();
        let needs = self.queue.needs(Class::Supervised, &resources, services);
        self.queue.join(needs, priority, group.into(), name.to_owned())
    }

    /// Serves all requests that can be served, and gives their names.
    fn serve(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(served) = self.queue.next(self.now) {
            names.push(served.what.clone());
            self.busy.push(served);
        }
        names
    }

    fn end(&mut self, name: &str) {
        self.end_with(name, &ServiceOutcome::Answered);
    }

    fn end_with(&mut self, name: &str, outcome: &ServiceOutcome) {
        let at = self.busy.iter().position(|served| served.what == name).unwrap();
        let ServedWork { number, needs, group, .. } = self.busy.remove(at);
        self.queue.give_back(number, &needs, &group, true, outcome, self.now);
    }

    /// Ends the one that was served first, and serves.
    fn turn(&mut self) -> Vec<String> {
        let first = self.busy[0].what.clone();
        self.end(&first);
        self.serve()
    }

    fn before(&self, number: u64) -> usize {
        let lacks = self.queue.lacks(number, self.now);
        let before = lacks.iter().find_map(|lack| match lack {
            Lack::Pool { before, .. } => Some(*before),
            Lack::Breaker(_) | Lack::Rate(_) | Lack::Withheld(_) => None,
        });
        before.unwrap()
    }
}

#[test]
fn higher_priority_goes_first_then_who_came_first() {
    let mut bench = Bench::new(1, &[]);
    bench.join("running", 0, "a", &[]);
    assert_eq!(bench.serve(), ["running"]);
    for (name, priority) in [("low", -1), ("plain 1", 0), ("high", 5), ("plain 2", 0)] {
        bench.join(name, priority, "a", &[]);
    }
    let queue: Vec<String> = (0..4).flat_map(|_| bench.turn()).collect();
    assert_eq!(queue, ["high", "plain 1", "plain 2", "low"]);
}

#[test]
fn among_equals_the_group_with_the_fewest_places_goes_first() {
    let mut bench = Bench::new(4, &[]);
    for at in 0..8 {
        bench.join(&format!("a{at}"), 0, "a", &[]);
    }
    assert_eq!(bench.serve(), ["a0", "a1", "a2", "a3"]);
    for at in 0..8 {
        bench.join(&format!("b{at}"), 0, "b", &[]);
    }
    assert_eq!([bench.turn(), bench.turn()].concat(), ["b0", "b1"], "until both have two");
    let holders = |bench: &Bench| bench.busy.iter().filter(|served| &*served.group == "a").count();
    assert_eq!(holders(&bench), 2);
    for _ in 0..8 {
        bench.turn();
        assert!((1..=3).contains(&holders(&bench)));
    }
    bench.end("b5");
    assert_eq!(bench.serve().len(), 1);
}

#[test]
fn whoever_waits_longest_is_passed_over_a_bounded_number_of_times() {
    let mut bench = Bench::new(1, &[]);
    bench.join("running", 0, "a", &[]);
    bench.serve();
    bench.join("low", -100, "a", &[]);
    bench.join("second", -100, "a", &[]);
    let mut served = Vec::new();
    for at in 0..30 {
        bench.join(&format!("high {at}"), 100, "b", &[]);
        served.extend(bench.turn());
    }
    let at = |name: &str| served.iter().position(|served| served == name).unwrap();
    assert_eq!(at("low"), PASSED_MAX as usize);
    assert_eq!(at("second"), 2 * PASSED_MAX as usize + 1);
}

#[test]
fn what_needs_two_things_that_never_come_free_together_gets_them_all_the_same() {
    let mut bench = Bench::new(100, &[("gpu", 1), ("licence", 1)]);
    bench.join("gpu 0", 0, "a", &["gpu"]);
    bench.join("licence 0", 0, "a", &["licence"]);
    bench.serve();
    bench.join("both", 0, "a", &["licence", "gpu"]);
    let mut served = Vec::new();
    for at in 1..40 {
        for name in ["gpu", "licence"] {
            bench.join(&format!("{name} {at}"), 0, "a", &[name]);
            if let Some(busy) = bench.busy.iter().find(|served| served.what.starts_with(name)) {
                let busy = busy.what.clone();
                bench.end(&busy);
            }
            served.extend(bench.serve());
        }
    }
    let at = served.iter().position(|name| name == "both").expect("it was served");
    assert!(at <= PASSED_MAX as usize + 2, "{at}: {served:?}");
}

#[test]
fn a_full_resource_keeps_nobody_waiting_who_does_not_need_it() {
    let mut bench = Bench::new(4, &[("gpu", 1)]);
    bench.join("gpu 1", 0, "a", &["gpu"]);
    bench.join("gpu 2", 50, "a", &["gpu", "gpu"]);
    bench.join("plain", 0, "a", &[]);
    assert_eq!(bench.serve(), ["gpu 2", "plain"]);
    bench.end("gpu 2");
    assert_eq!(bench.serve(), ["gpu 1"]);
}

#[test]
fn a_resource_that_nobody_named_is_waited_for_and_said() {
    let mut bench = Bench::new(4, &[]);
    let number = bench.join("lost", 0, "a", &["gpu"]);
    assert_eq!(bench.serve(), Vec::<String>::new());
    let lacks = bench.queue.lacks(number, bench.now);
    assert_eq!(lacks, [Lack::Pool { pool: Pool::Resource("gpu".into()), taken: 0, size: 0, before: 0 }]);
}

#[test]
fn what_lives_on_takes_its_place_though_there_is_none() {
    let mut bench = Bench::new(1, &[]);
    for _ in 0..2 {
        let needs = bench.queue.needs(Class::Supervised, &[], &[]);
        let (number, needs) = bench.queue.seize(needs, "a".into());
        bench.busy.push(ServedWork { number, what: "alive".into(), needs, group: "a".into() });
    }
    bench.join("new", 0, "a", &[]);
    bench.end("alive");
    assert_eq!(bench.serve(), Vec::<String>::new(), "one of them is still there");
    bench.end("alive");
    assert_eq!(bench.serve(), ["new"]);
}

#[test]
fn the_place_in_line_is_what_follows() {
    let mut bench = Bench::new(2, &[]);
    bench.join("x", 0, "a", &[]);
    bench.join("y", 0, "b", &[]);
    bench.serve();
    let mut numbers = HashMap::new();
    for (name, priority, group) in
        [("a1", 0, "a"), ("a2", 0, "a"), ("a3", 0, "a"), ("b1", 0, "b"), ("c1", 0, "c"), ("high", 1, "a")]
    {
        numbers.insert(name.to_owned(), bench.join(name, priority, group, &[]));
    }
    let mut places: Vec<(usize, String)> =
        numbers.iter().map(|(name, number)| (bench.before(*number), name.clone())).collect();
    places.sort();
    let shown: Vec<usize> = places.iter().map(|(place, _)| *place).collect();
    assert_eq!(shown, [0, 1, 2, 3, 4, 5], "{places:?}");
    let named: Vec<String> = places.into_iter().map(|(_, name)| name).collect();
    assert_eq!(named[..2], ["high", "c1"]);
}

fn claude() -> Service {
    Service::new("agent", "claude")
}

#[test]
fn a_rate_holds_back_only_what_it_is_for() {
    let policy = RatePolicy { starts: 1, per: Duration::from_millis(100), burst: 1 };
    let config = OrderConfig { rates: [(claude(), policy)].into(), ..OrderConfig::default() };
    let mut bench = Bench::of(10, &config);
    for at in 0..3 {
        bench.join_service(&format!("claude {at}"), 0, "a", &[], &[claude()]);
    }
    bench.join("make", 0, "a", &[]);
    assert_eq!(bench.serve(), ["claude 0", "make"]);
    assert_eq!(bench.queue.next_at(bench.now), Some(Timestamp(1_100)));
    bench.now = Timestamp(1_100);
    assert_eq!(bench.serve(), ["claude 1"]);
    let ServedWork { number, needs, group, .. } = bench.busy.pop().unwrap();
    bench.queue.give_back(number, &needs, &group, false, &ServiceOutcome::Unknown, bench.now);
    assert_eq!(bench.serve(), ["claude 2"], "a start that was not used is there for another");
}

#[test]
fn behind_an_open_breaker_attempts_wait_and_keep_nothing_from_others() {
    let policy = BreakerPolicy {
        failures: 2,
        pause: Duration::from_millis(30),
        pause_max: Duration::from_millis(100),
    };
    let config = OrderConfig {
        breakers: [(Service::any_of("agent"), policy)].into(),
        resources: [("gpu".to_owned(), 1)].into(),
        ..OrderConfig::default()
    };
    let mut bench = Bench::of(10, &config);
    let outage = ServiceOutcome::Outage("timeout".into());
    for name in ["1", "2"] {
        bench.join_service(name, 0, "a", &[], &[claude()]);
    }
    assert_eq!(bench.serve().len(), 2);
    bench.end_with("1", &outage);
    bench.end_with("2", &outage);
    for name in ["3", "4"] {
        bench.join_service(name, 100, "a", &["gpu"], &[claude()]);
    }
    for at in 0..2 * PASSED_MAX {
        bench.join(&format!("plain {at}"), 0, "b", &["gpu"]);
        assert_eq!(bench.serve(), [format!("plain {at}")]);
        bench.end(&format!("plain {at}"));
    }
    bench.join_service("codex", 0, "a", &[], &[Service::new("agent", "codex")]);
    assert_eq!(bench.serve(), ["codex"], "each name has a breaker of its own");
    bench.now = bench.queue.next_at(bench.now).unwrap();
    assert_eq!(bench.serve(), ["3"], "one tries");
    bench.end("3");
    assert_eq!(bench.serve(), ["4"], "and closes it");
}

#[test]
fn a_decision_costs_the_same_however_many_wait() {
    let mut costs = Vec::new();
    for count in [2_000, 20_000] {
        let mut bench = Bench::new(4, &[("gpu", 2)]);
        for at in 0..count {
            let resources: &[&str] = if at % 3 == 0 { &["gpu"] } else { &[] };
            bench.join(&at.to_string(), at % 7, &format!("run {}", at % 50), resources);
            bench.serve();
        }
        let before = bench.queue.steps;
        let served: usize = (0..60).map(|_| bench.turn().len()).sum();
        assert!(served >= 55, "{served}");
        costs.push(bench.queue.steps - before);
    }
    assert!(costs[1] <= costs[0] + costs[0] / 4, "{costs:?}");
}

#[test]
fn whoever_leaves_leaves_nothing_behind() {
    let mut bench = Bench::new(1, &[("gpu", 1)]);
    let numbers: Vec<u64> =
        (0..20).map(|at| bench.join(&at.to_string(), at % 3, &format!("g{}", at % 4), &["gpu"])).collect();
    assert_eq!(bench.serve().len(), 1);
    numbers.iter().for_each(|number| drop(bench.queue.leave(*number)));
    let name = bench.busy[0].what.clone();
    bench.end(&name);
    assert!(bench.queue.wait_groups.is_empty() && bench.queue.places.is_empty());
    for stock in bench.queue.stocks.values() {
        assert!(stock.shares.is_empty() && stock.taken == 0 && stock.waiting == 0);
    }
}
