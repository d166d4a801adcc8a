#!/usr/bin/env bash
# Sends what the OpenAPI document allows, and what it does not, to a real server: no 5xx, no answer that the document
# does not tell, and nothing taken that it forbids. Needs Python; Schemathesis is installed into a folder of its own.
#
#   ops/fuzz-rest.sh [EXAMPLES]        how many requests per operation and phase; 20 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
examples="${1:-20}"
everfold="${EVERFOLD_BIN:-${CARGO_TARGET_DIR:-target}/debug/everfold}"
[ -x "$everfold" ] || { echo "build it first: cargo build -p everfold-api" >&2; exit 2; }
everfold="$(realpath "$everfold")"

work="$(mktemp -d)"
server=""
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

st="${SCHEMATHESIS:-}"
if [ -z "$st" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis==4.32.5'
  st="$work/venv/bin/schemathesis"
fi
# What it leaves behind is left there.
cd "$work"

echo s3cret > secret
cat > everfold.toml <<TOML
[serve]
rate = 100000
burst = 100000
[hooks.forge]
secret = { file = "$work/secret" }
[hooks.open]
signature = "none"
[[subscriptions]]
name = "told"
events = "RunFailed"
function = "notify.log"
[workers.functions."deploy.canary"]
summary = "Deploys to one machine in a hundred."
TOML
run() { "$everfold" --dir "$work/data" "$@"; }
"$everfold" --dir "$work/data" --config "$work/everfold.toml" serve --json --listen 127.0.0.1:0 > serve.json 2> serve.log &
server=$!
for _ in $(seq 100); do [ -s data/owner.json ] && grep -q '"url":"http' <(tr -d ' ' < data/owner.json) && break; sleep 0.1; done
of_json() { python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }
url="$(of_json '["url"]' < data/owner.json)"
# An admin of its own: the socket of the folder needs no token.
token="$(run token create fuzz --role admin --json | of_json '["token"]')"
run token create spare --role viewer --json > /dev/null

# A run that asks, one that is blocked, one that ended and told nobody, and work that waits for a worker.
cat > asks.yaml <<'YAML'
name: asks
budget: { cost: 5.00 USD, tokens: 1_000_000, wall: 10h }
steps:
  - { id: build, command: echo built }
  - { id: review, approval: { title: Right? } }
YAML
cat > blocked.yaml <<'YAML'
name: blocked
steps:
  - id: build
    command: echo built
    gates:
      - { id: tests, command: "false", on_fail: block }
YAML
cat > ended.yaml <<'YAML'
name: ended
notify:
  - { id: lost, events: [RunSucceeded], function: notify.command, with: {} }
steps:
  - id: build
    command: echo built
    gates:
      - { id: tests, command: "true" }
YAML
cat > remote.yaml <<'YAML'
name: remote
steps:
  - { id: canary, function: deploy.canary, with: { version: 1 } }
YAML
start() { run run "$1" --detach --json | of_json '["id"]'; }
ended="$(start ended.yaml)"; blocked="$(start blocked.yaml)"; start remote.yaml > /dev/null; asks="$(start asks.yaml)"
run pipeline save ended.yaml > /dev/null
run schedule add nightly ended --cron '0 3 * * *' > /dev/null
for _ in $(seq 100); do run inbox --json | grep -q review && break; sleep 0.1; done
task="$(run inbox --json | of_json '["items"][0]["id"]')"
for _ in $(seq 100); do run notices --json | grep -q ':lost"' && break; sleep 0.1; done
notice="$(run notices --json | of_json '["items"][0]["id"]')"

# Of these most of what is made up is refused, and no document can say why: a body names a step, a budget, a pipeline or a
# token that has to be there, or a lease that was given; it holds a text of the pipeline language, or is taken once; of two
# parameters one may be given.
# A warning about any other operation is worth a look: something that could be said may not be.
quiet='"post_runs", "get_runs_run_state", "post_runs_run_budget", "post_runs_run_cancel", "post_runs_run_fork", "post_runs_run_recheck",
  "post_runs_run_restart", "post_runs_run_retry", "post_runs_run_unblock", "put_runs_run_breakpoints", "post_inbox_task_one", "post_pipelines_check", "put_pipelines_name_one", "post_schedules", "post_session_links",
  "post_workers_attempts_id_heartbeat", "post_workers_attempts_id_complete", "post_workers_attempts_id_fail"'

failed=0
# pass WHAT RUN [OPTIONS]: all operations with that run in the place of `{run}`.
pass() {
  echo "== $1"
  cat > schemathesis.toml <<TOML
[parameters]
"path.run" = "$2"
"path.step" = "build"
"path.round" = 1
"path.attempt" = 1
"path.task" = "$task"
"path.source" = "forge"
"path.notice" = "$notice"
[[operations]]
include-operation-id = [$quiet]
warnings = false
# What is signed is tested elsewhere: what is signed by nobody would be refused before it is looked at.
[[operations]]
include-operation-id = "post_hooks_source_one"
[operations.parameters]
"path.source" = "open"
$(for of in pipelines:ended schedules:nightly tokens:spare projections:runs breakers:agent.claude signals:merged subscriptions:told; do
  printf '[[operations]]\ninclude-path-regex = "/%s/[{]name"\n[operations.parameters]\n"path.name" = "%s"\n' "${of%:*}" "${of#*:}"
done)
TOML
  "$st" --config-file schemathesis.toml run "$url/api/openapi.json" \
    -H "Authorization: Bearer $token" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method \
    --phases examples,coverage,fuzzing --max-examples "$examples" --request-timeout 60 --no-color "${@:3}" || failed=1
  if ! curl --silent --fail --max-time 10 "$url/healthz" > /dev/null; then
    echo "the server did not live through it:" >&2; tail -n 40 serve.log >&2; exit 1
  fi
}
# Streams never end, but that of a run that ended. That a stranger is refused is tested for every operation elsewhere; here
# the rate of strangers would answer.
pass "a blocked run" "$blocked" --include-path-regex '/runs/[{]run' --exclude-path-regex '/stream$'
pass "a run that ended" "$ended" --include-path-regex '/runs/[{]run'
pass "a run that asks, and everything else" "$asks" --exclude-path-regex '/stream$|/workers/poll$'
# A poll that is well formed waits up to a minute, the stream of everything goes on for ever: here they are asked wrongly,
# and what is taken all the same is read for a moment.
pass "polls" "$asks" --include-path-regex '/workers/poll$' --mode negative
pass "the stream of everything" "$asks" --include-path-regex '/api/v1/stream$' --mode negative --request-timeout 5
# A panic ends a request, or a task beside it: both are faults.
if grep -qE 'panicked at|ended in a panic' serve.log; then
  echo "the server panicked:" >&2; grep -E -A 3 'panicked at|ended in a panic' serve.log >&2; failed=1
fi
# It ends in order after all that.
kill "$server"
if ! wait "$server"; then echo "the server did not end well:" >&2; tail -n 20 serve.log >&2; failed=1; fi
server=""
[ "$failed" = 0 ] && echo "nothing was found"
exit "$failed"
