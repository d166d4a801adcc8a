#!/usr/bin/env bash
# Sends what the OpenAPI document allows, and what it does not, to a real server: no 5xx, no answer that the document
# does not tell. Needs Python; Schemathesis is installed into a folder of its own.
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

printf '[serve]\nrate = 100000\nburst = 100000\n' > "$work/everfold.toml"
"$everfold" --dir "$work/data" --config "$work/everfold.toml" serve --json --listen 127.0.0.1:0 > "$work/serve.json" 2> "$work/serve.log" &
server=$!
for _ in $(seq 100); do [ -s "$work/data/owner.json" ] && grep -q '"url":"http' <(tr -d ' ' < "$work/data/owner.json") && break; sleep 0.1; done
url="$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["url"])' "$work/data/owner.json")"
# An admin of its own: the socket of the folder needs no token.
token="$("$everfold" --dir "$work/data" token create fuzz --role admin --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["token"])')"

# Runs that ask, and a run that ended, for `@` and `@1`.
cat > "$work/asks.yaml" <<'YAML'
name: asks
steps:
  - { id: build, function: everfold.noop }
  - { id: review, approval: { title: Right? } }
YAML
for _ in 1 2; do "$everfold" --dir "$work/data" run "$work/asks.yaml" --detach >/dev/null 2>&1; done

cat > "$work/schemathesis.toml" <<TOML
[parameters]
"path.run" = ["@", "@1", "0000"]
"path.step" = "build"
"path.round" = 1
"path.attempt" = 1
TOML
set +e
"$st" --config-file "$work/schemathesis.toml" run "$url/api/openapi.json" \
  -H "Authorization: Bearer $token" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
  --phases examples,coverage,fuzzing --max-examples "$examples" --request-timeout 30 \
  --exclude-path-regex '/stream$' --no-color
result=$?
set -e
if ! curl --silent --fail --max-time 10 "$url/healthz" > /dev/null; then
  echo "the server did not live through it:" >&2; tail -n 40 "$work/serve.log" >&2; exit 1
fi
exit "$result"
