#!/usr/bin/env bash
# Deploys a service of a compose file from a clone of its repository, from outside of the service: no task of the
# orchestrator restarts anything.
#
#   orchestrator-deploy-hook.sh --deploy      pull, build, start; what is not healthy is rolled back
#   orchestrator-deploy-hook.sh --rollback    back to the image that ran before the last deploy
#
# Ends with 0: done and healthy; 1: failed, and rolled back or nothing to roll back to; 2: rolled back, and unhealthy too;
# 64: called wrongly. A manual rollback ends with 0 or 1.
#
# Law: nothing is touched before the clone is known to be right; the queue goes on only after the agents' login was seen to
# work in the new container. Everything is set by the environment; ops/orch/README.md lists it. Without any it is staging.
# What belongs to a service follows from its name: a rollback never touches the image of another one.
set -uo pipefail

REPO="${REPO:-$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel 2>/dev/null || pwd)}"
TARGET_SERVICE="${TARGET_SERVICE:-orchestrator-staging}"
TARGET_PORT="${TARGET_PORT:-8501}"
TARGET_IMAGE="${TARGET_IMAGE:-orchestrator-$TARGET_SERVICE}"
# A service that is no staging has no profile; an empty one is none.
case "$TARGET_SERVICE" in *-staging) profile=staging ;; *) profile="" ;; esac
COMPOSE_PROFILE="${COMPOSE_PROFILE-$profile}"
PREV_IMAGE_FILE="${PREV_IMAGE_FILE:-$REPO/.deploy-prev-image${TARGET_SERVICE#orchestrator}}"
# There while this hook holds the queue: a deploy that was cut off is known to the next one by it.
HELD_FILE="$PREV_IMAGE_FILE.held"
# The commit that the task built; it must be on main by the time of the deploy. Empty: whatever is there.
EXPECTED_COMMIT="${EXPECTED_COMMIT:-}"
# How long another deploy of the service is waited for.
LOCK_WAIT="${LOCK_WAIT:-0}"
LOG="${LOG:-/var/log/orchestrator-deploy-hook.log}"
HEALTH_URL="${HEALTH_URL:-http://localhost:$TARGET_PORT/health}"
HEALTH_ATTEMPTS="${HEALTH_ATTEMPTS:-10}" HEALTH_INTERVAL="${HEALTH_INTERVAL:-6}" HEALTH_TIMEOUT="${HEALTH_TIMEOUT:-5}"
ROLLBACK_ATTEMPTS="${ROLLBACK_ATTEMPTS:-5}" ROLLBACK_INTERVAL="${ROLLBACK_INTERVAL:-3}"
# Run in the container. What the marker command prints must be the commit that was pulled.
MARKER_COMMAND="${MARKER_COMMAND:-cat /etc/orchestrator-revision}"
QUEUE_HOLD="${QUEUE_HOLD:-everfold pause --all --json -m deploy}"
QUEUE_RESUME="${QUEUE_RESUME:-everfold resume --all}"
AUTH_PROBE="${AUTH_PROBE:-claude --print --output-format json --max-turns 1 'Answer with OK.'}"
AUTH_PROBE_TIMEOUT="${AUTH_PROBE_TIMEOUT:-90}"
GIT_TIMEOUT="${GIT_TIMEOUT:-120}" BUILD_TIMEOUT="${BUILD_TIMEOUT:-3600}" DOCKER_TIMEOUT="${DOCKER_TIMEOUT:-180}"
# Files of this user in the clone stop a deploy: what root wrote there, the user of the hook cannot pull over.
FOREIGN_UID="${FOREIGN_UID:-0}"

mkdir -p "$(dirname "$LOG")" 2>/dev/null
{ : >> "$LOG"; } 2>/dev/null || LOG="$REPO/deploy-hook.log"

log() {
  local line
  line="[$(date -u +%Y-%m-%dT%H:%M:%SZ)] $*"
  printf '%s\n' "$line"
  printf '%s\n' "$line" >> "$LOG" 2>/dev/null || true
}

# step NAME SECONDS COMMAND…: runs it with a limit; what it says goes to the log.
step() {
  local name="$1" limit="$2" said code
  shift 2
  said="$(timeout --kill-after=5 "$limit" "$@" 2>&1 < /dev/null 9>&-)"
  code=$?
  while IFS= read -r line; do [ -n "$line" ] && log "$name: $line"; done <<< "$said"
  [ "$code" = 124 ] && log "$name: no end within $limit s"
  return "$code"
}

compose() { docker compose ${COMPOSE_PROFILE:+--profile "$COMPOSE_PROFILE"} "$@"; }
export -f compose
export COMPOSE_PROFILE

container() { timeout --kill-after=5 "$DOCKER_TIMEOUT" bash -c 'compose ps -q "$0"' "$TARGET_SERVICE" 2>/dev/null 9>&- | head -n 1; }

# inside SECONDS COMMAND: what the shell of the running container says to it.
inside() {
  local id
  id="$(container)"
  [ -n "$id" ] || return 1
  timeout --kill-after=5 "$1" docker exec "$id" sh -c "$2" 2>&1 < /dev/null 9>&-
}

# The clone is on main, as it was committed, and nobody else's. Its own two files may lie in it.
clone_is_right() {
  local changes branch foreign
  if ! changes="$(git status --porcelain -- . ':(exclude).deploy-prev-image*' ':(exclude)deploy-hook.log' 2>&1)"; then
    log "STOP: $REPO is no clone that git reads: ${changes%%$'\n'*}"
    return 1
  fi
  branch="$(git symbolic-ref --quiet --short HEAD || echo 'no branch')"
  foreign="$(find "$REPO" -xdev -uid "$FOREIGN_UID" -print -quit 2>/dev/null)"
  if [ -n "$changes" ]; then log "STOP: the clone is dirty: ${changes%%$'\n'*}"; return 1; fi
  if [ "$branch" != main ]; then log "STOP: the clone is on $branch, not on main"; return 1; fi
  if [ -n "$foreign" ]; then log "STOP: uid $FOREIGN_UID owns $foreign: give the clone to the user of the hook (chown -R)"; return 1; fi
}

# save_running_image COMMIT: what runs before this deploy. A deploy of what runs already keeps what ran before that.
save_running_image() {
  local id image
  if [ -s "$PREV_IMAGE_FILE" ] && [ "$(inside "$DOCKER_TIMEOUT" "$MARKER_COMMAND" | tail -n 1)" = "$1" ]; then
    log "the container runs $1 already: the image to go back to stays $(cat "$PREV_IMAGE_FILE")"
    return
  fi
  id="$(container)"
  image="$([ -n "$id" ] && timeout "$DOCKER_TIMEOUT" docker inspect --format '{{.Image}}' "$id" 2>/dev/null)"
  if [ -z "$image" ]; then log "no running image to save"; return; fi
  if printf '%s\n' "$image" > "$PREV_IMAGE_FILE.new" 2>/dev/null && mv -f "$PREV_IMAGE_FILE.new" "$PREV_IMAGE_FILE"; then
    log "saved the running image $image"
  else
    log "the running image $image could not be saved to $PREV_IMAGE_FILE"
  fi
}

is_healthy() {
  local answer
  answer="$(curl --silent --max-time "$HEALTH_TIMEOUT" --write-out '\n%{http_code}' "$HEALTH_URL" 2>/dev/null)" || return 1
  [ "${answer##*$'\n'}" = 200 ] && grep -Eq '"status"[[:space:]]*:[[:space:]]*"ok"' <<< "${answer%$'\n'*}"
}

# becomes_healthy ATTEMPTS INTERVAL: no wait after the last look.
becomes_healthy() {
  local n
  for ((n = 1; n <= $1; n++)); do
    if is_healthy; then log "healthy at look $n of $1"; return 0; fi
    log "not healthy at look $n of $1"
    [ "$n" -lt "$1" ] && sleep "$2"
  done
  return 1
}

has_new_code() {
  local found
  found="$(inside "$DOCKER_TIMEOUT" "$MARKER_COMMAND" | tail -n 1)"
  if [ "$found" = "$1" ]; then log "the container runs $1"; return 0; fi
  log "the marker of $1 is not in the running container (found: '${found:-nothing}')"
  return 1
}

# The commit, or all that it changed where a merge squashed it, is on main.
has_expected_commit() {
  local merged
  [ -n "$EXPECTED_COMMIT" ] || return 0
  git cat-file -e "$EXPECTED_COMMIT^{commit}" 2>/dev/null || git fetch --quiet origin "$EXPECTED_COMMIT" 2>/dev/null || git fetch --quiet origin 2>/dev/null
  if git merge-base --is-ancestor "$EXPECTED_COMMIT" HEAD 2>/dev/null; then return 0; fi
  merged="$(git merge-tree --write-tree HEAD "$EXPECTED_COMMIT" 2>/dev/null)"
  if [ -n "$merged" ] && [ "$merged" = "$(git rev-parse 'HEAD^{tree}')" ]; then return 0; fi
  log "STOP: $EXPECTED_COMMIT is not on main: merge its pull request first"
  return 1
}

held=""
# The queue of the service starts nothing until `resume_queue`. What somebody else held before stays held; what a deploy
# held that was cut off, or whose login failed, is this one's.
hold_queue() {
  local said before=theirs
  [ -n "$held" ] && return 0
  [ -e "$HELD_FILE" ] && before=ours
  : > "$HELD_FILE" || { log "$HELD_FILE cannot be written"; return 1; }
  if ! said="$(inside "$DOCKER_TIMEOUT" "$QUEUE_HOLD")"; then log "the queue could not be held: ${said%%$'\n'*}"; return 1; fi
  held=ours
  if grep -Eq '"changed"[[:space:]]*:[[:space:]]*false' <<< "$said"; then held="$before"; fi
  [ "$held" = ours ] || rm -f "$HELD_FILE"
  log "the queue is held"
}

resume_queue() {
  local said
  if ! said="$(inside "$AUTH_PROBE_TIMEOUT" "$AUTH_PROBE")"; then
    log "the login of the agents does not work within $AUTH_PROBE_TIMEOUT s, the queue stays held: ${said%%$'\n'*}"
    return 1
  fi
  log "the login of the agents works"
  if [ "$held" = theirs ]; then log "the queue was held before the deploy, and stays held"; return 0; fi
  if ! said="$(inside "$DOCKER_TIMEOUT" "$QUEUE_RESUME")"; then log "the queue could not be resumed: ${said%%$'\n'*}"; return 1; fi
  held=""
  rm -f "$HELD_FILE"
  log "the queue goes on"
}

up() { step up "$DOCKER_TIMEOUT" bash -c 'compose up -d --no-build "$0"' "$TARGET_SERVICE"; }

# Puts the saved image back: 0 it is healthy, 1 there is none, 2 it is not healthy.
roll_back() {
  local image
  image="$(cat "$PREV_IMAGE_FILE" 2>/dev/null)"
  if [ -z "$image" ]; then log "rollback skipped: no saved image in $PREV_IMAGE_FILE"; return 1; fi
  if ! timeout "$DOCKER_TIMEOUT" docker image inspect "$image" > /dev/null 2>&1; then
    log "rollback skipped: no local image $image"
    return 1
  fi
  log "rolling back to $image"
  step tag "$DOCKER_TIMEOUT" docker tag "$image" "$TARGET_IMAGE" && up && becomes_healthy "$ROLLBACK_ATTEMPTS" "$ROLLBACK_INTERVAL" || return 2
  [ -z "$held" ] || resume_queue || log "the service is back; deploy again when the login works, or resume its queue by hand and remove $HELD_FILE"
}

# What is started is healthy, has the new code, and its agents are logged in.
goes_live() {
  up || return 1
  # A service that did not run before could not be held before.
  becomes_healthy "$HEALTH_ATTEMPTS" "$HEALTH_INTERVAL" && hold_queue && has_new_code "$1" && resume_queue
}

deploy() {
  local commit
  clone_is_right || return 1
  step pull "$GIT_TIMEOUT" git pull --ff-only origin main || { log "DEPLOY FAILED: pull; the service is untouched"; return 1; }
  has_expected_commit || { log "DEPLOY FAILED: the service is untouched"; return 1; }
  commit="$(git rev-parse HEAD)"
  save_running_image "$commit"
  log "building $commit"
  step build "$BUILD_TIMEOUT" bash -c 'compose build --build-arg "REVISION=$1" "$0"' "$TARGET_SERVICE" "$commit" ||
    { log "DEPLOY FAILED: build; the service is untouched"; return 1; }
  if [ -n "$(container)" ] && ! hold_queue; then log "DEPLOY FAILED: the service is untouched"; return 1; fi
  if goes_live "$commit"; then log "DEPLOYED $commit"; return 0; fi
  log "DEPLOY FAILED: $commit does not go live"
  roll_back
  case $? in
    0) log "ROLLED BACK"; return 1 ;;
    1) return 1 ;;
    *) log "ROLLBACK FAILED: the service is not healthy"; return 2 ;;
  esac
}

main() {
  cd "$REPO" || { log "STOP: there is no $REPO"; return 1; }
  { exec 9> "$PREV_IMAGE_FILE.lock"; } 2>/dev/null || { log "STOP: $PREV_IMAGE_FILE.lock cannot be written"; return 1; }
  flock --timeout "$LOCK_WAIT" 9 || { log "STOP: another deploy of $TARGET_SERVICE is under way"; return 1; }
  log "$1 of $TARGET_SERVICE on port $TARGET_PORT from $REPO"
  case "$1" in
    --deploy) deploy ;;
    --rollback)
      [ -e "$HELD_FILE" ] && held=ours
      roll_back && log "ROLLED BACK" || { log "ROLLBACK FAILED"; return 1; }
      ;;
  esac
}

if [ $# -ne 1 ] || [[ ! $1 =~ ^--(deploy|rollback)$ ]]; then
  echo "usage: $(basename "$0") --deploy | --rollback" >&2
  exit 64
fi
# In one piece: the pull may replace this very file.
main "$1"; exit $?
