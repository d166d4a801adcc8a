//! The table: a verb, what run it is played on, and how it ends for each role.

use super::REFUSED;

/// Who calls; `product` is an approver who decides in that role.
pub(super) const ROLES: [&str; 7] =
    ["nobody", "viewer", "approver", "product", "operator", "worker", "admin"];

/// What the rows work with.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "asks.yaml",
        "name: asks\nsteps:\n  - id: approve\n    approval: { title: Ship it?, roles: [product], on_changes: block }\n",
    ),
    (
        "people.yaml",
        "name: people\nkey: card\nlabels: { card: one }\nsteps:\n  - id: first\n    approval: { title: First? }\n  - { id: second, needs: [first], approval: { title: Second? } }\n",
    ),
    (
        "question.yaml",
        "name: question\nsteps:\n  - id: scope\n    question: { title: How much?, text: How much of it?, options: [all, some] }\n",
    ),
    ("done.yaml", "name: done\nsteps:\n  - { id: a, command: echo hello }\n"),
    ("fails.yaml", "name: fails\nsteps:\n  - { id: broken, command: 'exit 3' }\n"),
    ("blocks.yaml", "name: blocks\nsteps:\n  - { id: held, command: 'exit 1', on_fail: block }\n"),
    (
        "hooked.yaml",
        "name: hooked\ntriggers:\n  - hook: tracker\n    start: { input: { n: '${event.body.n}' } }\nsteps:\n  - { id: a, approval: { title: Go on? } }\n",
    ),
    ("delivery.json", "{\"n\": 1}\n"),
    (
        "served.toml",
        "[[subscriptions]]\nname = \"told\"\nevents = \"RunFailed\"\nfunction = \"notify.log\"\n",
    ),
];

type Codes = [i32; 7];

/// For every caller: the server is not asked, or the role does not matter.
const fn all(code: i32) -> Codes {
    [code; 7]
}

/// For every role that may read.
const fn read(code: i32) -> Codes {
    [REFUSED, code, code, code, code, REFUSED, code]
}

/// For every role that may decide where no role is asked for.
const fn decide(code: i32) -> Codes {
    [REFUSED, REFUSED, code, code, code, REFUSED, code]
}

/// Who decides in the role that is asked for; others who may decide are refused by the task itself.
const fn decide_as_product(code: i32, refused: i32) -> Codes {
    [REFUSED, REFUSED, refused, code, refused, REFUSED, code]
}

/// For every role that may start and steer.
const fn operate(code: i32) -> Codes {
    [REFUSED, REFUSED, REFUSED, REFUSED, code, REFUSED, code]
}

const fn administer(code: i32) -> Codes {
    [REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, code]
}

/// Verbs that stand in no row: they write the caller's own file of contexts, which would change where the rows are played.
pub(super) const APART: &[&str] = &["context add", "context use", "context show", "context remove"];

/// `(command, run, codes)`: `RUN` is a new run of the pipeline.
pub(super) const TABLE: &[(&str, &str, Codes)] = &[
    // Reading.
    ("runs", "", read(0)),
    ("show RUN", "people", read(0)),
    ("open RUN --print", "people", read(0)),
    ("watch RUN", "done", read(0)),
    ("watch RUN", "fails", read(1)),
    ("logs RUN a", "done", read(0)),
    ("logs RUN a -f", "done", read(0)),
    ("events RUN", "people", read(0)),
    ("events RUN -f", "done", read(0)),
    ("state RUN", "people", read(0)),
    ("diff RUN 1..2", "people", read(0)),
    ("why RUN", "people", read(0)),
    ("bisect RUN version>1", "people", read(0)),
    ("lineage RUN", "people", read(0)),
    ("debug RUN", "people", read(0)),
    ("replay RUN", "people", read(0)),
    ("audit", "", read(0)),
    ("audit backtest made --policy true", "", read(0)),
    ("board", "", read(0)),
    ("stats", "", read(0)),
    ("insights", "", read(0)),
    ("spend", "", read(0)),
    ("sql 'select count(*) from runs'", "", read(0)),
    ("orch status", "", read(0)),
    ("orch queue", "", read(0)),
    ("orch stuck", "", read(0)),
    ("inbox", "", read(0)),
    ("limits", "", read(0)),
    ("workers", "", read(0)),
    ("projections", "", read(0)),
    ("budget RUN", "people", read(0)),
    ("budget list", "", read(0)),
    ("breakpoints RUN", "people", read(0)),
    ("pipeline check asks", "", read(0)),
    ("pipeline list", "", read(0)),
    ("pipeline show asks", "", read(0)),
    ("pipeline diff ./asks.yaml", "", read(0)),
    ("pipeline graph asks", "", read(0)),
    ("hooks", "", read(0)),
    ("hooks show d-1", "", read(0)),
    ("notices", "", read(0)),
    ("notices list", "", read(0)),
    ("schedule list", "", read(0)),
    ("schedule show nightly", "", read(0)),
    ("store info", "", read(0)),
    // Deciding.
    ("approve RUN", "people", decide(0)),
    ("reject RUN -m no", "people", decide(0)),
    ("changes RUN -m more", "asks", decide_as_product(0, 4)),
    ("approve RUN", "asks", decide_as_product(0, 4)),
    ("answer RUN all", "question", decide(0)),
    // Starting and steering.
    ("run ./done.yaml", "", operate(0)),
    ("run asks --no-wait", "", operate(6)),
    ("resume RUN --no-wait", "people", operate(6)),
    ("unblock RUN --decision skip", "blocks", operate(0)),
    // Its approval is asked anew.
    ("recheck RUN first", "people", operate(0)),
    ("recheck RUN second", "people", operate(4)),
    ("retry RUN", "fails", operate(1)),
    ("restart RUN --from first --no-wait", "people", operate(6)),
    ("fork RUN --at 2 --no-wait", "people", operate(6)),
    ("cancel RUN -m no", "people", operate(0)),
    ("cancel RUN --force", "people", operate(4)),
    ("pause --filter 'status == \"waiting\"' --yes", "people", operate(0)),
    ("pause RUN", "people", operate(0)),
    ("interrupt RUN", "people", operate(0)),
    ("signal RUN go", "people", operate(0)),
    ("signal --key card go", "people", operate(0)),
    ("signal --label card=one go", "people", operate(0)),
    ("breakpoints RUN second", "people", operate(0)),
    ("budget RUN --add 1.00", "people", operate(3)),
    ("budget set team --per month --cost 5.00", "", operate(0)),
    ("budget unset team --per month", "", operate(0)),
    ("pause --pipeline done", "", operate(0)),
    ("resume --pipeline done", "", operate(0)),
    ("pause --all", "", operate(0)),
    ("resume --all", "", operate(0)),
    ("pipeline save ./done.yaml", "", operate(0)),
    ("hook deliver tracker delivery.json --id d-2", "", operate(0)),
    ("hooks redeliver d-1", "", operate(0)),
    ("notices retry nothing", "", operate(3)),
    ("notices drop nothing", "", operate(3)),
    ("notices test told", "", operate(0)),
    ("schedule add hourly people --every 1h", "", operate(0)),
    ("schedule update nightly --every 2h", "", operate(0)),
    ("schedule pause nightly", "", operate(0)),
    ("schedule resume nightly", "", operate(0)),
    ("schedule trigger nightly", "", operate(0)),
    ("schedule remove nightly", "", operate(0)),
    ("limits reset agent.nothing", "", operate(3)),
    // Access, and the machine.
    ("projections rebuild runs", "", administer(0)),
    ("token create ci --role viewer", "", administer(0)),
    ("token list", "", administer(0)),
    ("token link other", "", administer(0)),
    ("token revoke other", "", administer(0)),
    // Of a folder: no server is asked.
    ("serve", "", all(2)),
    ("ui", "", all(2)),
    ("init", "", all(2)),
    ("doctor", "", all(2)),
    ("bench", "", all(2)),
    ("demo", "", all(2)),
    ("store verify", "", all(2)),
    ("store repair", "", all(2)),
    ("store adopt", "", all(2)),
    ("orch import orch.sqlite", "", all(2)),
    ("orch onboard --project p --repo r --prefix ET --address http://localhost", "", all(2)),
    // A client that asks for nothing: standard input has ended.
    ("mcp", "", all(0)),
    // Of the program.
    ("pipeline check ./asks.yaml", "", all(0)),
    ("pipeline test ./asks.yaml", "", all(2)),
    ("pipeline schema", "", all(0)),
    ("context list", "", all(0)),
    ("explain EF0201", "", all(0)),
    ("completions bash", "", all(0)),
    ("man run", "", all(0)),
    ("version", "", all(0)),
];
