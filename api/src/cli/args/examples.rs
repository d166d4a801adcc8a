//! What is typed, by verb: the examples at the end of each verb's help.
//!
//! Law: each visible verb has some, also those below another verb, and the program reads each of them.

/// A verb, and its lines: what is typed, and what for.
pub(super) const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "demo",
        &[
            ("everfold demo", "about half a minute"),
            ("everfold demo orch", "an issue of Plane through all stages of ORCH, about a minute"),
            ("everfold demo --manual --folder /tmp/demo", "you approve, in another terminal"),
        ],
    ),
    (
        "init",
        &[
            ("everfold init --example", "settings, and hello.yaml"),
            ("everfold run ./hello.yaml -i name=Ada", ""),
            (
                "everfold init --pipeline delivery",
                "a built-in pipeline with its files, as a start for your own",
            ),
        ],
    ),
    (
        "run",
        &[
            ("everfold run ./build.yaml -i task=7 --title Nightly", "a file"),
            ("everfold run delivery -i repo=. -i task='Add a dark mode'", "a built-in or saved one"),
            ("everfold run ./build.yaml --input-file input.json --detach", "goes on in the background"),
            ("everfold run ./build.yaml --no-wait --json=short_id,status", ""),
            ("everfold run ./build.yaml -i task=7 --dry-run", "says what it would do, and does nothing"),
        ],
    ),
    (
        "resume",
        &[
            ("everfold resume", "the newest run"),
            ("everfold resume 5b8093ed --no-wait", "back where only people are awaited"),
            ("everfold resume --pipeline nightly", "lifts the pause of a pipeline"),
        ],
    ),
    (
        "retry",
        &[
            ("everfold retry", "what blocks the newest run, or made it fail"),
            ("everfold retry 5b8093ed build", "this step"),
        ],
    ),
    (
        "restart",
        &[
            ("everfold restart 5b8093ed --from build", "build, and what depends on it"),
            ("everfold restart @ --from inspect -i test='make test'", "with another input"),
            ("everfold restart @ --from build --definition ./build.yaml", "by a mended file"),
        ],
    ),
    (
        "runs",
        &[
            ("everfold runs --status running,blocked", ""),
            ("everfold runs --since 2h --pipeline delivery", "that began in the last two hours"),
            ("everfold runs --at yesterday", "as they were at the beginning of yesterday"),
            ("everfold runs --json=short_id,status,title", ""),
        ],
    ),
    (
        "show",
        &[("everfold show", "the newest run"), ("everfold show @1 --json=status,failure", "the one before")],
    ),
    ("watch", &[("everfold watch 5b8093ed", ""), ("everfold watch @ --json", "an event per line")]),
    (
        "logs",
        &[
            ("everfold logs", "of the step that runs, failed or ran last"),
            ("everfold logs @ build -f", "goes on until the work ends"),
            ("everfold logs @ build.3 --round 2 --attempt 1 --tail 20", "the item 3"),
            ("everfold logs @ think --raw", "an agent's log as its program wrote it"),
        ],
    ),
    (
        "events",
        &[
            ("everfold events @ --from 10 --limit 5", ""),
            ("everfold events @ --since 10m", "of the last ten minutes"),
            ("everfold events @ -f --json", "an event per line, as they come"),
        ],
    ),
    (
        "board",
        &[("everfold board --group-by stage", ""), ("everfold board --at -2h", "as it was two hours ago")],
    ),
    (
        "stats",
        &[
            ("everfold stats", ""),
            ("everfold stats --by pipeline,labels.team --filter \"status == 'failed'\"", ""),
            ("everfold stats --bucket 1d --by failure.kind --at yesterday", ""),
        ],
    ),
    (
        "insights",
        &[
            ("everfold insights", ""),
            ("everfold insights flaky gates --pipeline delivery --since 30d", ""),
            ("everfold insights cost --queries", "with the query behind it"),
        ],
    ),
    (
        "sql",
        &[
            ("everfold sql \"select status, count(*) as runs from runs group by status\"", ""),
            ("everfold sql --schema runs", "the columns of a table"),
            ("everfold sql \"select step, worked_ms from attempts('@')\" --format csv", ""),
        ],
    ),
    (
        "spend",
        &[
            ("everfold spend --by model", ""),
            ("everfold spend --by day --since 7d", "of the last seven days"),
        ],
    ),
    (
        "orch",
        &[
            ("everfold orch status", "every task that is not done"),
            (
                "everfold orch import /data/orch.sqlite --projects projects.yaml --dry-run",
                "what would come of ORCH's tasks",
            ),
            ("everfold orch status ET-018 --at yesterday", "one of them, as it was"),
            ("everfold orch queue", "agents: in line, at work, the last ten"),
            ("everfold orch stuck --json=item,stage", ""),
        ],
    ),
    (
        "debug",
        &[
            ("everfold debug @", "keys: ? lists them, q ends"),
            ("everfold debug @ --plain", "where it stands, in lines"),
            ("everfold debug --dap", "for the debugger of an editor"),
            ("everfold breakpoints @ deploy", ""),
            ("everfold resume @", ""),
        ],
    ),
    ("inbox", &[("everfold inbox", ""), ("everfold inbox --role product --json=id,title", "")]),
    (
        "approve",
        &[
            ("everfold approve @ -m 'looks good'", "the only approval of the newest run"),
            ("everfold approve 5b8093ed:limit:1 --value '{\"limit\": 4}'", "with another value"),
        ],
    ),
    ("reject", &[("everfold reject 5b8093ed:approve:1 -m 'the tests are missing'", "")]),
    (
        "changes",
        &[(
            "everfold changes @ -m shorter --remark docs/brief.md:12='say how fast'",
            "with a remark on a line",
        )],
    ),
    (
        "answer",
        &[
            ("everfold answer @ all", "one of the options, or a text"),
            ("everfold answer 5b8093ed:names:1 --item 1=everfold --save", "a part of the answer"),
        ],
    ),
    (
        "unblock",
        &[
            ("everfold unblock @ --decision retry", "the only blocked step"),
            (
                "everfold unblock @ build --decision proceed --output '{\"sha\": \"abc\"}' -m 'built by hand'",
                "",
            ),
        ],
    ),
    (
        "recheck",
        &[
            ("everfold recheck @ build", ""),
            ("everfold recheck @ build --policy 'tests=evidence.failed <= 1' -m 'a known flake'", ""),
        ],
    ),
    (
        "pause",
        &[
            ("everfold pause @ -m 'release freeze'", ""),
            ("everfold pause --pipeline nightly -m 'the mirror is down'", "all of its runs"),
        ],
    ),
    (
        "interrupt",
        &[
            ("everfold interrupt @ -m 'it goes astray'", ""),
            ("everfold resume @ -p 'Leave the tests alone.'", "the same session goes on"),
        ],
    ),
    (
        "cancel",
        &[
            ("everfold cancel 5b8093ed -m 'no longer needed'", ""),
            ("everfold cancel @ build -m stuck", "one step of it"),
            ("everfold cancel --filter \"status == 'blocked'\"", "shows which; with --yes it cancels them"),
        ],
    ),
    (
        "signal",
        &[
            ("everfold signal @ merged '{\"pr\": 7}'", "to one run"),
            ("everfold signal --label repo=web push", "to all that have the label"),
        ],
    ),
    (
        "breakpoints",
        &[
            ("everfold breakpoints @ deploy notify", "the run pauses before these steps"),
            ("everfold breakpoints @ --clear", ""),
        ],
    ),
    (
        "budget",
        &[
            ("everfold budget", "how full"),
            ("everfold budget @ --add 2.00 -m 'one more try'", "two dollars more"),
            ("everfold budget set team --per month --cost 500.00", "for all runs of the scope team"),
        ],
    ),
    ("limits", &[("everfold limits", ""), ("everfold limits reset agent.claude", "closes a breaker")]),
    (
        "state",
        &[
            ("everfold state @ --at 12", "after its 12th event"),
            ("everfold state @ --at -10m", "ten minutes ago"),
            ("everfold state @ --at '2026-11-20 08:15'", "times are UTC, as all that is printed"),
        ],
    ),
    (
        "lineage",
        &[
            ("everfold lineage @", "where the newest run comes from, and what went on from it"),
            ("everfold lineage 3b2cabce --at yesterday", "as it was then"),
        ],
    ),
    (
        "why",
        &[
            ("everfold why @", "why the newest run is where it is, also where other runs hold it up"),
            ("everfold why @ deploy", "one step: what it waits for, why it was passed over or sent back"),
            ("everfold why", "why nothing happens: pauses, limits, breakers, budgets, missing workers"),
            ("everfold why @ --at -10m", "ten minutes ago"),
        ],
    ),
    (
        "diff",
        &[
            ("everfold diff @ 5..12", "two versions of a run"),
            ("everfold diff @ -10m..", "what the last ten minutes changed"),
            ("everfold diff @1 @", "two runs"),
        ],
    ),
    (
        "bisect",
        &[
            ("everfold bisect @ 'cost > 2.0'", "the event after which it had cost more"),
            ("everfold bisect @ \"steps.review.gates.tests.verdict == 'fail'\"", ""),
            (
                "everfold bisect --pipeline release \"status == 'failed'\"",
                "the first run that failed, and what changed",
            ),
            ("everfold bisect --runs \"labels.team == 'blue'\" 'steps.build.round > 1'", "of these runs"),
        ],
    ),
    (
        "fork",
        &[
            ("everfold fork @ --at 12 -i base=main", "from its 12th event on, with another input"),
            ("everfold fork @ --at -10m --until deploy", "up to that step"),
        ],
    ),
    (
        "replay",
        &[
            ("everfold replay @", "1 where a decision would be another one now"),
            ("everfold replay @ --definition current", "by the pipeline as it is saved now"),
        ],
    ),
    (
        "audit",
        &[
            ("everfold audit --kind override --since 7d", "where people went against a gate, and who"),
            (
                "everfold audit backtest tests --policy 'evidence.exit == 0' --since 7d",
                "another policy for the gate tests",
            ),
        ],
    ),
    (
        "pipeline",
        &[
            ("everfold pipeline check ./build.yaml ./deploy.yaml", "every mistake at once"),
            ("everfold pipeline save ./build.yaml", "from now on `build`, in any folder"),
            ("everfold pipeline graph delivery --svg", ""),
            ("everfold pipeline diff build", "to the version before"),
        ],
    ),
    (
        "schedule",
        &[
            ("everfold schedule add nightly build --cron '0 2 * * *' --zone Europe/Berlin", ""),
            ("everfold schedule add sweep build --every 6h --anchor added --hours 9..17", "not in the night"),
            ("everfold schedule update nightly --cron '0 4 * * *'", "the rest of it stays"),
            ("everfold schedule trigger nightly", "now"),
            ("everfold schedule remove nightly --cancel", "and its runs that go on"),
        ],
    ),
    ("hook", &[("everfold hook deliver forge push.json --header X-Gitea-Event:push", "")]),
    (
        "hooks",
        &[
            ("everfold hooks forge", "what came"),
            ("everfold hooks show 4711", "and what each trigger made of it"),
        ],
    ),
    (
        "ui",
        &[
            ("everfold ui", "opens a browser where there is a screen"),
            ("everfold ui --listen 127.0.0.1:7878 --no-open", "at a fixed port, for a tunnel"),
        ],
    ),
    ("open", &[("everfold open", "the newest run"), ("everfold open 5b8093ed --print", "")]),
    (
        "serve",
        &[
            ("everfold serve", "on 127.0.0.1:7878"),
            ("everfold serve --listen 0.0.0.0:7878 --tls-cert c.pem --tls-key k.pem", ""),
        ],
    ),
    (
        "mcp",
        &[
            ("everfold mcp", "a client of the protocol starts it; it speaks on stdin and stdout"),
            ("everfold --server https://flow.example.org mcp", "the same tools over the runs of a server"),
        ],
    ),
    (
        "token",
        &[
            ("everfold token create ci --role operator --expires 30d", "printed once"),
            ("everfold token revoke ci -m leaked", ""),
        ],
    ),
    (
        "context",
        &[
            ("everfold context add prod --server https://flow.example.org --token-env FLOW_TOKEN --use", ""),
            ("everfold context use local", "back to the folders of this machine"),
        ],
    ),
    ("workers", &[("everfold workers", "")]),
    (
        "notices",
        &[
            ("everfold notices", ""),
            ("everfold notices retry --all", ""),
            ("everfold notices test on-call", ""),
        ],
    ),
    (
        "doctor",
        &[
            ("everfold doctor", "1 where something is missing"),
            ("everfold doctor --settings", "every key of everfold.toml"),
            ("everfold doctor --upgrade", "before a new version goes on with a copy of the folder"),
        ],
    ),
    (
        "store",
        &[
            ("everfold store verify", "every event, every hash"),
            ("everfold store repair", "says what it would do"),
        ],
    ),
    ("projections", &[("everfold projections", ""), ("everfold projections rebuild runs", "")]),
    ("bench", &[("everfold bench", ""), ("everfold bench --service", "from outside, over loopback")]),
    ("explain", &[("everfold explain EF0401", ""), ("everfold explain", "all codes")]),
    (
        "completions",
        &[
            ("everfold completions bash > ~/.local/share/bash-completion/completions/everfold", ""),
            ("everfold completions zsh > ~/.zfunc/_everfold", "in a folder of $fpath"),
        ],
    ),
    (
        "man",
        &[
            ("everfold man | man -l -", ""),
            ("everfold man run | man -l -", "of one verb"),
            ("everfold man --folder ./man1", "all pages, as files"),
        ],
    ),
    ("version", &[("everfold version", "")]),
];

/// More lines of verbs below a verb: they stand in the help of these alone, behind those of the verb above that begin with them.
pub(super) const BELOW: &[(&str, &str)] = &[
    (
        "everfold orch onboard --project 7a79f0a9-5278-49cd-9007-9a338f238f9c --repo web --prefix WEB --address https://everfold.example.org --check",
        "says what is missing, and makes nothing",
    ),
    ("everfold budget list", ""),
    ("everfold budget unset team --per month -m 'one budget for all'", "what pipelines say counts again"),
    ("everfold pipeline test ./build.yaml", "the cases in build.test.yaml"),
    ("everfold pipeline test ./build.yaml --init", "writes a first case"),
    ("everfold pipeline test ./build.yaml --case 'a red build' --story", "what happened in this case"),
    ("everfold pipeline list --json=name,version", ""),
    ("everfold pipeline show delivery", "what it takes, and its steps"),
    ("everfold pipeline show build@2 --text > build.yaml", "the file of an older version"),
    ("everfold pipeline schema > everfold.schema.json", "for an editor"),
    ("everfold pipeline schema --cases > everfold-cases.schema.json", "of test cases"),
    ("everfold schedule list", "and when the next moments are"),
    ("everfold schedule show nightly", "and what the last moments led to"),
    ("everfold schedule pause nightly -m 'release freeze'", ""),
    ("everfold schedule resume nightly", ""),
    ("everfold hooks redeliver 4711", "as if it had come just now"),
    ("everfold token list", ""),
    ("everfold token link ada", "a link that logs one browser in"),
    ("everfold context list", ""),
    ("everfold context show prod", "who one is there, and of which version it is"),
    ("everfold context remove prod", ""),
    ("everfold notices list", ""),
    ("everfold notices drop --all", "they are not sent any more"),
    ("everfold store repair --from-sled --yes", "does what it said"),
    ("everfold store repair --from /backups/monday", "what another copy of the folder can restore"),
    ("everfold store repair --give-up-behind 48212", "what no copy has any more: go on without it"),
    ("everfold store repair --from /backups/monday --give-up-behind 48212", "and with what that copy has"),
    ("everfold store info", ""),
    ("everfold store adopt", "a copy of a folder acts from now on"),
];
