#!/bin/sh
# The architect: plans the change.
. "$(dirname "$0")/lib.sh"

work "reading the brief"
cat > "$folder/plan.md" <<'PLAN'
---
status: READY
---
# Plan

- `roman.sh`: a table of values and letters, largest first; take the largest that fits, as often as it fits.
- `cases.txt`: the examples of the brief.
- Risk: four and nine are written by subtraction, so the table may need more than the seven letters.
PLAN
say "wrote $folder/plan.md"
