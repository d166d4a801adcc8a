//! Pipelines written in Rust are the ones that files are.

use std::time::Duration;

use everfold_language::builder::*;
use everfold_language::definition::{
    Anchor, Busy, CatchUp, FinishStatus, IfUnchanged, Keep, NoFiles, OnLimit, OnLost, OnOver, OnRefused,
    OnTaken, Overlap, OverlapBy, Period, Release, Save, UnblockDecision, Vote, parse, value_of,
};
use serde_json::json;

use super::fixtures::{files, folder, plain_numbers, read};

fn good(name: &str) -> String {
    let file = folder("good").into_iter().find(|path| path.file_name().is_some_and(|file| file == name));
    std::fs::read_to_string(file.unwrap()).unwrap()
}

/// `good/everything.yaml`, in Rust.
fn everything() -> Pipeline {
    let text = |name: &str| json!({ "type": name });
    Pipeline::new("all/everything")
        .description("Every construct once")
        .input(json!({
            "type": "object",
            "required": ["issue", "repo"],
            "properties": {
                "issue": text("integer"),
                "repo": text("string"),
                "budget": { "type": "number", "default": 5 },
                "presets": { "type": "string", "default": "" },
            },
        }))
        .config(
            "team",
            Config::files(["${input.repo}/.everfold/team.yaml", "~/team.json"])
                .or(json!({ "autonomy": { "level": 2 }, "poll": "30s" })),
        )
        .config("models", "models.yaml")
        .config_record(
            "team.projects",
            json!({ "type": "object", "required": ["repo"], "properties": { "repo": text("string") } }),
        )
        .key(Key::new("issue-${input.issue}").release(Release::Unsuccessful).on_taken(OnTaken::Replace))
        .label("issue", "${input.issue}")
        .label("team", "${config.team.name}")
        .on_refused(OnRefused::Fail)
        .admit(Gate::new("enabled", Probe::config("team.enabled")).policy("evidence.value == true").code("DISABLED"))
        .admit(
            Gate::new(
                "few",
                Probe::negated(Probe::runs(RunsProbe::new().label("team", "x").status(["blocked", "paused"]))),
            )
            .when("config.team.autonomy.level < 3"),
        )
        .concurrency(Concurrency::new("repo:${input.repo}").limit(3).on_limit(OnLimit::Queue))
        .concurrency(Concurrency::new("one").when("config.team.autonomy.level == 0").on_limit(OnLimit::CancelOldest))
        .concurrency(Concurrency::new("many").limit("${config.team.limit}").on_limit(OnLimit::Reject))
        .budget(Budget::new("budget").cost("5.00 USD").tokens(2_000_000).wall("4h").reserve("$0.10").carry(true))
        .budget(
            Budget::new("daily")
                .scope("team:${config.team.name}")
                .per(Period::Day)
                .zone("Europe/Berlin")
                .cost("${config.team.budget} USD")
                .on_over(OnOver::Stop),
        )
        .workspace(Workspace::git("${input.repo}").save(Save::Push).keep(Keep::Failed))
        .secret("TOKEN", Secret::env("FORGE_TOKEN"))
        .secret("KEY", Secret::file("/run/secrets/key"))
        .secret("OTHER", Secret::command(["pass", "show", "other"]))
        .secret("SHELL", Secret::command("pass show shell"))
        .defaults(Defaults::new().timeout("20m").on_lost(OnLost::Fail))
        .trigger(
            Trigger::hook("gitea")
                .when("event.action == 'opened' && actor != 'bot'")
                .start(
                    TriggerStart::new()
                        .input(json!({ "issue": "${event.body.issue.number}", "repo": "${event.body.repo.path}" }))
                        .title("${event.body.issue.title}"),
                )
                .signal("issue-${event.action}")
                .payload("${event.body}")
                .park(true),
        )
        .trigger(Trigger::hook("ci").signal("ci").to(Target::labels([("commit", "${event.sha}")])))
        .trigger(Trigger::hook("chat").signal("word").to(Target::run("${event.run}")))
        .trigger(
            Trigger::schedule(
                Schedule::cron("30 7 * * mon-fri")
                    .zone("Europe/Berlin")
                    .jitter("5m")
                    .catch_up(CatchUp::One)
                    .overlap(Overlap::Queue),
            )
            .start(TriggerStart::new().input(json!({ "issue": 0, "repo": "." }))),
        )
        .trigger(Trigger::schedule(Schedule::every(Duration::from_secs(900))).signal("tick").to(Target::key("nightly")))
        .trigger(Trigger::schedule(Schedule::cron("0 * * * *")).start(TriggerStart::new()))
        .trigger(
            Trigger::schedule(Schedule::every("1h").weekdays(["mon", "fri"]).hours(8, 18)).start(TriggerStart::new()),
        )
        .trigger(
            Trigger::schedule(
                Schedule::every("6h")
                    .anchor(Anchor::Added)
                    .hours(9, 24)
                    .overlap(Overlap::Queue)
                    .overlap_by(OverlapBy::Key),
            )
            .start(TriggerStart::new()),
        )
        .trigger(
            Trigger::schedule(
                Schedule::every("24h").anchor("2026-01-05T07:30:00+01:00".parse().unwrap()).hours(0, 18),
            )
            .start(TriggerStart::new()),
        )
        .on_signal("stop", Route::finish(FinishStatus::Cancelled))
        .on_signal(
            "again",
            [
                Route::rework("plan")
                    .when("signal.full == true")
                    .max(2)
                    .findings("${signal.text}")
                    .busy(Busy::Interrupt),
                Route::ignore(),
            ],
        )
        .notify(
            Notice::new("failures", "notify.http").events(["RunFailed", "StepBlocked"]).with(json!({
                "url": "https://chat.example.org", "token": "${secrets.TOKEN}", "text": "${run.title}",
            })),
        )
        .notify(
            Notice::new("board", "notify.file")
                .events("*")
                .when("actor != null")
                .sender("${run.pipeline}")
                .channel("${input.issue}")
                .collapse(true)
                .changes_only(true),
        )
        .step(plan())
        .step(plan_ok())
        .step(scope())
        .step(build())
        .step(
            Step::run(
                "either",
                ChildRun::of("child")
                    .input(json!({ "n": "${part}", "all": "${input}" }))
                    .label("part", "${index}")
                    .wait(false)
                    .on_parent_cancel(OnParentCancel::Leave),
            )
            .needs(StepNeeds::any(["scope", "build"]))
            .when("steps.?scope.?output.?choice.orValue('') != 'none'")
            .otherwise(json!({ "skipped": true, "why": "${failure.?message.orValue('')}" }))
            .foreach(Foreach::over(json!([1, 2])).named("part")),
        )
        .step(
            Step::http(
                "call",
                Http::new("https://example.org/x").body(json!({ "a": "${input.issue}" })).header("h", "x"),
            )
            .needs("plan"),
        )
        .step(Step::run("short", "child").needs("plan"))
        .step(
            Step::approval("each", Approval::new("Is ${item} fine?"))
                .foreach(Foreach::over(vec!["a"]))
                .needs("plan"),
        )
        .step(Step::wait("moment", Wait::until("2030-01-01T08:00").zone("Europe/Berlin")).needs("plan"))
        .step(
            Step::wait(
                "heard",
                Wait::signal("merged")
                    .matching("signal.number == input.issue")
                    .timeout("7d")
                    .on_timeout(Route::go_on()),
            )
            .needs("plan"),
        )
        .on_finish(Step::command("tidy", "./tidy.sh"))
        .output(json!({ "plan": "${steps.plan.output}" }))
}

fn plan() -> Step {
    let agent = Agent::prompted("Plan ${input.issue}. ${answers.size()} answers so far")
        .profile("claude")
        .with(json!({ "key": "${secrets.KEY}" }))
        .repair(2)
        .schema(json!({ "type": "object" }))
        .on_incomplete(OnIncomplete::Warn);
    Step::agent("plan", agent)
        .stage("plan")
        .timeout("1h")
        .deadline("8h")
        .ask(Ask::at_most(3).roles("product").timeout("1d").on_timeout(Route::fail()))
        .secrets(["TOKEN", "OTHER"])
        .env("AUTH", "Bearer ${secrets.TOKEN}")
        .resources("gpu")
        .priority(-2)
        .budget_exempt("config.team.free == true")
        .clean(true)
        .retry(Retry::attempts(2))
        .on_signal(
            "more",
            Route::rework("plan")
                .max(Max::unlimited())
                .hold(true)
                .extra(true)
                .lift(true)
                .findings("${signal.text}"),
        )
        .on_signal("answered", Route::answer("${signal.text}").busy(Busy::Ignore))
}

fn plan_ok() -> Step {
    let approval = Approval::new("Is the plan good?")
        .show("${steps.plan.output}")
        .show_file("plan.md")
        .commit(true)
        .keep_unchanged()
        .edit("${steps.plan.output}")
        .roles("product")
        .quorum(2)
        .comment([Vote::Changes, Vote::Reject])
        .timeout("3d")
        .on_timeout(Route::block())
        .remind("4h")
        .on_changes(Route::rework("plan"))
        .on_reject(Route::fail());
    Step::approval("plan-ok", approval)
        .on_signal("thumbs-up", Route::approve())
        .on_signal("thumbs-down", [Route::changes().when("signal.text == ''"), Route::reject()])
}

fn scope() -> Step {
    let question = Question::new("How much of it?")
        .text("The plan has ${steps.plan.output} parts")
        .options(vec!["all", "some", "none"])
        .part("How many?")
        .part(Part::new("when", "Until when?").options(["today", "later"]))
        .accept("answer.choice != 'none' || has(answer.text)")
        .roles("product")
        .timeout("2d")
        .on_timeout(Route::go_on())
        .remind("1d");
    Step::question("scope", question)
        .needs("plan-ok")
        .on_signal("reply", Route::answer(json!({ "choice": "${signal.choice}" })))
}

fn build() -> Step {
    let asked =
        Http::new("https://example.org").header("auth", "${secrets.TOKEN}").json(true).expect(["200", "4xx"]);
    let two = [
        Probe::command("a"),
        Probe::command("b").id("b").policy("evidence.exit < 2"),
        Probe::ci(Ci::new("x").pr("1")),
    ];
    let either = [Probe::file("x"), Probe::negated(Probe::file("y"))];
    let together = Probe::all([
        Probe::expression("output != null"),
        Probe::at_least(2, two).id("two"),
        Probe::any(either).id("or").when("input.budget > 1").otherwise("cheap"),
    ]);
    Step::command("build", "make")
        .needs("plan-ok")
        .approved("plan-ok")
        .workspace(StepWorkspace::own())
        .on_fail([
            Route::rework("plan")
                .when("failure.kind == 'exit'")
                .max(5)
                .if_unchanged(IfUnchanged::Block)
                .then(Route::block()),
            Route::fail(),
        ])
        .gate(Gate::tests("tests", "target/junit/*.xml"))
        .gate(Gate::tests("coverage", ["a.xml", "b.xml"]).fresh(true))
        .gate(Gate::file("file", "README.md"))
        .gate(
            Gate::file("notes", FileProbe::glob("notes/*.md").min("${config.team.notes}"))
                .fresh(true)
                .poll(Poll::every_so_often("${config.team.poll}").max(3)),
        )
        .gate(Gate::new("small", Probe::diff(Diff::new().max_files(50).since("plan"))))
        .gate(Gate::new("health", Probe::http("https://example.org/health")).poll(Poll::at_most("5m")))
        .gate(Gate::new("answer", Probe::http(asked)).policy("evidence.body.ok == true"))
        .gate(
            Gate::new("checks", Probe::ci(Ci::new("gitea").sha("${workspace.commit}").none(NoChecks::Pass)))
                .wake(["ci", "checks.done"])
                .on_fail(Route::rework("build").max(10).if_unchanged(IfUnchanged::Block)),
        )
        .gate(
            Gate::new("mergeable", Probe::mergeable(Mergeable::new("gitea", "7")))
                .on_fail(Route::rework("plan").hold(true).max(Max::unlimited())),
        )
        .gate(Gate::new(
            "runs",
            Probe::runs(
                RunsProbe::new().status("running").label("card", vec!["a", "${input.issue}"]).max_age("7d"),
            ),
        ))
        .gate(Gate::new("config", Probe::config("team.merging")).policy("evidence.value == 'on'"))
        .gate(Gate::new(
            "function",
            Probe::function("git.ready").with(json!({ "token": "${secrets.TOKEN}" })),
        ))
        .gate(Gate::new("together", together))
        .on_signal("judge", Route::recheck())
        .on_signal("go", Route::unblock(UnblockDecision::Proceed))
        .on_signal("dropped", Route::fail_with("DROPPED", "${signal.why}"))
        .on_signal("aside", Route::block())
}

#[test]
fn a_pipeline_in_rust_has_the_hash_of_its_file() {
    let built = everything().check(&NoFiles).unwrap();
    // Its settings lie at a relative path, and a trigger starts its runs.
    let warnings = built.warnings.to_string();
    assert!(warnings.contains("EF0188") && warnings.matches("[EF").count() == 1, "{warnings}");
    let file = read(&good("everything.yaml"));
    assert_eq!(built.definition, file);
    assert_eq!(built.definition.hash(), file.hash());
}

#[test]
fn what_a_file_says_can_be_written_as_json_and_is_the_same() {
    for path in folder("good") {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = parse(&text, "file", &files()).unwrap_or_else(|problems| panic!("{problems}"));
        let json = format!("{:#}", value_of(&plain_numbers(&text)).unwrap());
        let again = parse(&json, "json", &files()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(again.definition.hash(), file.definition.hash(), "{}", path.display());
    }
}

#[test]
fn what_a_builder_writes_down_is_a_file() {
    let file = parse(&everything().source(), "everything.json", &files()).unwrap();
    assert_eq!(file.definition.hash(), read(&good("everything.yaml")).hash());
}

#[test]
fn prompts_and_roles_come_from_where_the_program_says() {
    let pipeline = Pipeline::new("x")
        .input(json!({ "type": "object", "required": ["task"], "properties": { "task": {} } }))
        .step(Step::agent("a", Agent::prompted("prompts/analyst.md")))
        .step(Step::agent("b", Agent::of_role("developer").without_model().session(Session::New)));
    let built = pipeline.build_with(&files()).unwrap();
    assert_eq!(built.files.keys().collect::<Vec<_>>(), ["prompts/analyst.md", "roles/developer.md"]);
    let missing = pipeline.build().unwrap_err();
    assert!(missing.to_string().contains("there is no file prompts/analyst.md"), "{missing}");
}

#[test]
fn what_is_wrong_is_named_by_ids() {
    let wrong = Pipeline::new("Wrong name")
        .label("team", "${confg.team}")
        .step(Step::command("fetch", "make ${inptu.x}"))
        .step(Step::command("build", "make").needs(["fetch", "fetsch"]).max_rounds(0).gate(
            Gate::command("tests", "make test").on_fail([
                Route::rework("biuld").when("evidence.exit == 2"),
                Route::rework("fetch").then(Route::next().hold(true)),
            ]),
        ))
        .step(
            Step::approval("ok", Approval::new("Fine?").quorum(0))
                .gate(Gate::new("both", Probe::all([Probe::file("x"), Probe::expression("1 +")]))),
        )
        .trigger(Trigger::hook("gitea"))
        .step(Step::command("fetch", "true"))
        .build()
        .unwrap_err();
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("built_wrong", wrong.to_string());
    });
}

#[test]
fn smaller_constructs_are_those_of_the_file_too() {
    let built = Pipeline::new("small")
        .workspace(Workspace::dir("."))
        .defaults(
            Defaults::new()
                .grace("5s")
                .retry(Retry::attempts(3).backoff("1s", "60s").only(["exit"]).except("NO_DISK").lost(2))
                .on_fail(Route::block())
                .env("CI", "1"),
        )
        .step(
            Step::command("a", ["make", "${run.short_id}"])
                .at_once()
                .timeout(Duration::from_secs(90))
                .output("log", "log.txt")
                .output("notes", Output::file("notes.md").optional().fresh())
                .json("stdout")
                .matching("count", "count: ([0-9]+)")
                .workspace(StepWorkspace::dir("sub"))
                .idempotent(true)
                .on_success([Route::finish(FinishStatus::Succeeded).when("output == null"), Route::go_on()])
                .label("done", "yes"),
        )
        .step(Step::function("b", "everfold.echo").with(json!({ "n": 1 })).standby(true).max_rounds(2))
        .step(
            Step::gates(
                "c",
                [
                    Gate::new(
                        "front",
                        Probe::frontmatter(
                            Frontmatter::new("a.md", "status", ["READY"])
                                .fail(["NO"])
                                .matching(Matching::Word)
                                .from(["worktree", "main"]),
                        ),
                    )
                    .poll(Poll::every_so_often("1s").timeout("1m").on_timeout(Route::next())),
                    Gate::file("in", FileProbe::exists("a.json").json(true).matches("x")),
                    Gate::function("f", "git.ready").on_fail(Route::rework("b")),
                ],
            )
            .needs(StepNeeds::succeeded(["a", "b"])),
        )
        .step(Step::wait("d", Wait::span("1s")))
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let file = read(
        r#"
name: small
workspace: { dir: . }
defaults: { grace: 5s, retry: { attempts: 3, backoff: 1s..60s, only: [exit], except: [NO_DISK], lost: 2 }, on_fail: block, env: { CI: "1" } }
steps:
  - id: a
    command: [make, "${run.short_id}"]
    needs: []
    timeout: 90s
    outputs: { log: log.txt, notes: { file: notes.md, optional: true, fresh: true }, json: stdout, match: { count: "count: ([0-9]+)" } }
    workspace: { dir: sub }
    idempotent: true
    on_success: [{ finish: succeeded, when: output == null }, continue]
    labels: { done: yes }
  - { id: b, function: everfold.echo, with: { n: 1 }, standby: true, max_rounds: 2 }
  - id: c
    needs: { succeeded: [a, b] }
    gates:
      - { id: front, frontmatter: { file: a.md, fields: [status], pass: [READY], fail: [NO], match: word, from: [worktree, main] }, poll: { every: 1s, timeout: 1m, on_timeout: next } }
      - { id: in, file: { exists: a.json, json: true, matches: x } }
      - { id: f, function: git.ready, on_fail: { rework: b } }
  - { id: d, wait: { for: 1s } }
"#,
    );
    assert_eq!(built, file);
    assert_eq!(built.hash(), file.hash());
}
