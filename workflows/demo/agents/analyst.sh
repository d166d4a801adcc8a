#!/bin/sh
# The analyst: turns the task into a brief with examples that can be tested.
. "$(dirname "$0")/lib.sh"

work "reading roman.sh and its tests"
cat > "$folder/brief.md" <<'BRIEF'
---
status: READY
---
# All numbers from 1 to 3999

Today `roman.sh` knows four numbers. It shall write every number from 1 to 3999 and refuse all others.

Not part of it: reading numerals, larger numbers.

| number | numeral |
| --- | --- |
| 4 | IV |
| 9 | IX |
| 14 | XIV |
| 1994 | MCMXCIV |
| 2026 | MMXXVI |
| 3999 | MMMCMXCIX |
BRIEF
say "wrote $folder/brief.md"
