#!/usr/bin/env bash
# Plays docker and its compose over the folder FAKE_DOCKER: files there say what it runs and what fails.
#   calls      every call, one per line        container  what runs (absent: nothing)
#   image      of the running container        tag        what the service's name stands for
#   built      the revision of the newest build
set -uo pipefail
state="$FAKE_DOCKER"
printf '%s\n' "$*" >> "$state/calls"
fails() { [ -e "$state/$1-fails" ]; }
if [ "$1" = compose ]; then
  shift
  [ "$1" = --profile ] && shift 2
  case "$1" in
    ps) [ ! -e "$state/container" ] || cat "$state/container" ;;
    build)
      fails build && { echo "no space left on device" >&2; exit 1; }
      printf '%s' "${3#REVISION=}" > "$state/built"
      echo sha256:new > "$state/tag"
      ;;
    up)
      fails up && { echo "port is already allocated" >&2; exit 1; }
      cp "$state/tag" "$state/image"
      echo "container-of-$(cat "$state/tag")" > "$state/container"
      ;;
    *) exit 64 ;;
  esac
  exit
fi
case "$1 $2" in
  "inspect --format") cat "$state/image" ;;
  "image inspect") ! fails image ;;
  "tag "*) echo "$2" > "$state/tag" ;;
  "exec "*)
    # In the container stand its revision, `everfold` and `claude`.
    case "$5" in
      "cat /etc/orchestrator-revision") [ "$(cat "$state/image")" = sha256:new ] && [ ! -e "$state/stale" ] && cat "$state/built" ;;
      "everfold pause"*)
        fails hold && exit 1
        [ "$(cat "$state/queue")" = held ] && changed=false || changed=true
        printf '{"changed": %s}\n' "$changed"
        echo held > "$state/queue"
        ;;
      "everfold resume"*) echo running > "$state/queue" ;;
      "claude "*)
        [ -e "$state/login-hangs" ] && exec sleep 600
        fails login && { echo "Please run /login"; exit 1; }
        cat "$state/queue" >> "$state/queue-at-probe"
        ;;
      *) exit 64 ;;
    esac
    ;;
  *) exit 64 ;;
esac
