#!/bin/sh
# Runs every case of cases.txt (NUMBER NUMERAL): prints what differs, ends with 1 if anything does.
cd "$(dirname "$0")" || exit 1

passed=0 failed=0
while read -r number expected; do
    got=$(sh ./roman.sh "$number" 2>&1)
    if [ "$got" = "$expected" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$number: expected $expected, got $got"
    fi
done < cases.txt
echo "$passed tests passed, $failed failed"
[ "$failed" -eq 0 ]
