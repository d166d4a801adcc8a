//! A day of ORCH in virtual time: forty tasks in three projects, while Plane, Gitea, Telegram, CI and agents fail.
//!
//! Laws: each task ends, or waits for a person whom the tracker and the messenger have called. Of each task the comments
//! are those of ORCH, in their order and word for word, whatever failed; so are its pings and its live message. Each agent
//! is begun once, and one at a time; a task has at most three developments, and one more for each that failed. No notice is
//! given up.
//!
//! `EVERFOLD_SEED=N` plays one other day, `EVERFOLD_SEEDS=N` so many.

mod day;
mod evidence;
mod plan;
mod ports;
mod texts;
mod town;
mod walk;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use everfold_engine::event::RunEvent;
use everfold_engine::state::RunStatus;

use self::day::Day;
use self::plan::{CAP, Fate, PROJECTS, PULL_REQUESTS, Task};
use self::town::{OWNER, SHARED, Town};
use self::walk::Walk;

const TASKS: usize = 40;
/// The days that the ordinary test command plays.
const DAYS: u64 = 2;
const FIRST: u64 = 17;
/// Failures of services on a day that shows something.
const FAULTS_MIN: u64 = 200;

#[test]
fn a_day_of_forty_tasks_ends_as_it_should_whatever_fails() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let (first, days) = match number("EVERFOLD_SEED") {
        Some(seed) => (seed, 1),
        None => (number("EVERFOLD_FIRST_SEED").unwrap_or(FIRST), number("EVERFOLD_SEEDS").unwrap_or(DAYS)),
    };
    let (next, wrong) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < first + days
                    && wrong.lock().unwrap().is_empty()
                {
                    if let Err(what) = played(seed) {
                        wrong.lock().unwrap().push(format!(
                            "again: EVERFOLD_SEED={seed} cargo test -p everfold-tests --test simulation orch_day\n{what}"
                        ));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn played(seed: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tasks = (0..TASKS).map(|number| Walk::task(seed, number)).collect();
    let town = Town::new(seed, tasks, folder.path(), &servers);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = runtime.block_on(async {
        let day = Day::begin(town.clone(), folder.path()).await?;
        let played = day.play().await;
        let mut wrong: Vec<String> = played.err().into_iter().collect();
        for number in 0..TASKS {
            if let Err(what) = check(&day, number).await {
                let history = day.history(number).await.unwrap_or_default();
                wrong.push(format!(
                    "task {number} ({}): {what}\n{}",
                    day::said(&town.tasks[number]),
                    story(&history)
                ));
            }
        }
        wrong.splice(0..0, town.seen().violations.clone());
        match wrong.is_empty() {
            true if town.faults.load(Ordering::Relaxed) < FAULTS_MIN => Err("too little failed".to_owned()),
            true => Ok(()),
            false => Err(wrong.join("\n\n")),
        }
    });
    runtime.shutdown_background();
    servers.shutdown_background();
    ended
}

/// A history for people: an event a line, cut; without notices.
fn story(history: &[RunEvent]) -> String {
    let is_notice = |event: &RunEvent| event.name().starts_with("Notice");
    let line = |event: &RunEvent| format!("{event:?}").chars().take(300).collect::<String>();
    history.iter().filter(|event| !is_notice(event)).map(line).collect::<Vec<_>>().join("\n")
}

/// What is written in a text for what is only known when it is played.
struct Words(Vec<(&'static str, String)>);

impl Words {
    async fn of(day: &Day, number: usize) -> Result<Self, String> {
        let state = day.state(number).await?;
        let task = &day.town.tasks[number];
        let label = |name: &str| state.labels().get(name).cloned().unwrap_or_default();
        let (item, branch) = (label("item"), label("branch"));
        let forge = format!("https://git.example.org/admin/{}", PROJECTS[task.project].0);
        let tree = format!("{forge}/src/branch/{branch}");
        let pulls = day.town.seen().pulls.get(&number).map(|pulls| pulls.numbers.clone()).unwrap_or_default();
        let (project, issue) = (town::project_id(task.project), &day.town.issues[number]);
        let mut words = vec![
            ("{folder}", format!("{tree}/docs/work-items/{item}")),
            ("{tree}", tree),
            ("{forge}", forge),
            ("{branch}", branch),
            ("{item}", item.clone()),
            ("{task}", format!("https://plane.example.org/team/projects/{project}/issues/{issue}/")),
            ("{run}", day.run_of(number).map(|run| run.short()).unwrap_or_default()),
            ("{docs}", format!("docs/work-items/{item}")),
        ];
        words.extend(PULL_REQUESTS.into_iter().zip(pulls.iter().map(u64::to_string)));
        Ok(Self(words))
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// Spans of time as `{T}`.
fn timeless(text: &str) -> String {
    let spans = regex::Regex::new(r"(Длительность: )(\d+h \d+m|\d+m \d+s|\d+s)").unwrap();
    let minutes = regex::Regex::new(r" (—|&lt;1м|\d+м)( ·|$)").unwrap();
    let text = spans.replace_all(text, "$1{T}");
    let lines: Vec<String> =
        text.lines().map(|line| minutes.replace_all(line, " {T}$2").into_owned()).collect();
    lines.join("\n")
}

async fn check(day: &Day, number: usize) -> Result<(), String> {
    let (town, task) = (&day.town, &day.town.tasks[number]);
    let issue = &town.issues[number];
    let state = day.state(number).await?;
    for event in day.history(number).await? {
        if let RunEvent::NoticeFailed(failed) = event {
            return Err(format!("a notice was given up: {failed:?}"));
        }
    }
    let words = Words::of(day, number).await?;
    let said = town.plane.comments_on(issue);
    let said: Vec<_> =
        said.into_iter().filter(|(who, _)| who != OWNER).map(|(who, text)| (who, timeless(&text))).collect();
    let wanted: Vec<_> =
        task.comments.iter().map(|(who, text)| (author(who).to_owned(), words.fill(text))).collect();
    same("comments", &said, &wanted)?;
    let (item, run) = (words.fill("{item}"), words.fill("{run}"));
    let telegram = town.telegram.service(|telegram| telegram.messages().to_vec());
    let of_task = |text: &str| {
        !item.is_empty() && (text.contains(&format!(" {item}:")) || text.contains(&format!(" {item} ·")))
    };
    let (live, mut pings): (Vec<_>, Vec<_>) =
        telegram.into_iter().filter(|message| of_task(&message.text)).partition(|message| message.is_silent);
    pings.sort_by(|a, b| a.text.cmp(&b.text));
    let pings: Vec<_> = pings.into_iter().map(|message| message.text).collect();
    let mut wanted: Vec<_> = task.pings.iter().map(|text| words.fill(text)).collect();
    // Telegram knows no keys: what rang and was not answered rings again.
    wanted
        .extend(town.seen().rung_again.iter().filter(|(of, _)| *of == number).map(|(_, text)| text.clone()));
    wanted.sort();
    same("pings", &pings, &wanted)?;
    let lives = usize::from(task.fate != Fate::Refused);
    if live.len() != lives {
        return Err(format!("{} live messages: {live:#?}", live.len()));
    }
    if !task.live.is_empty() {
        same("live message", &timeless(&live[0].text), &words.fill(&task.live))?;
    }
    let stands = town.plane.state_of(issue).unwrap_or_default();
    let (status, tracker) = match task.fate {
        Fate::Done => (RunStatus::Succeeded, "Done"),
        Fate::Refused => (RunStatus::Failed, "Blocked"),
        Fate::Waits(_) => (RunStatus::Blocked, "Blocked"),
    };
    if state.status() != status || stands != tracker {
        return Err(format!("run {run} is {}, the tracker says {stands}", state.status()));
    }
    let developed = day.round_of(number, "developer").await?;
    // A person begins one that failed once more.
    let failed =
        task.rounds.iter().filter(|((step, _), round)| *step == "developer" && round.has_failed()).count();
    if developed > CAP + u32::try_from(failed).unwrap() {
        return Err(format!("{developed} developments"));
    }
    Ok(())
}

/// Whose token a role speaks with.
fn author(role: &str) -> &str {
    if role == "developer" { SHARED } else { role }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, wanted: &T) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{what} are\n{seen:#?}\nand not\n{wanted:#?}")) }
}

/// What is drawn follows from the seed, and many days have something of everything.
#[test]
fn the_same_seed_draws_the_same_day() {
    let drawn =
        |seed| format!("{:?}", (0..TASKS).map(|number| Walk::task(seed, number)).collect::<Vec<Task>>());
    assert_eq!(drawn(17), drawn(17));
    assert_ne!(drawn(17), drawn(18));
    let all: String = (0..20).map(drawn).collect();
    for what in [
        "Done",
        "Refused",
        "Waits(\"developer\")",
        "Waits(\"reviewer\")",
        "Waits(\"tester\")",
        "Merge",
        "Reject(None)",
        "Reject(Some",
    ] {
        assert!(all.contains(what), "no {what}");
    }
    for what in [
        "Fails",
        "Limited",
        "Lost",
        "TooLong",
        "Questions",
        "Nothing",
        "Conflict",
        "NoDecision",
        "Red",
        "Pending",
        "Unsettled",
        "Unanswered",
        "Changes",
        "OpenP1",
        "Failed",
        "is_hidden: true",
    ] {
        assert!(all.contains(what), "no {what}");
    }
}
