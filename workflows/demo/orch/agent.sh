# The agents of `everfold demo orch`: one script in seven roles. It reads its task, edits, and leaves the documents that
# the gates judge; what it changed is committed and pushed by Everfold.
set -eu

here=$(dirname "$0")
docs=$(ls -d docs/work-items/*/ | head -n 1)
docs=${docs%/}
item=$(basename "$docs")

# One line per execution, outside the repository: proof of what really ran.
echo "$EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT $$" >> "$here/executions.log"

# Stays at work for as long as the file `hold` is there, half a minute at most: the demo takes the engine away meanwhile.
stay() {
    tenths=0
    while [ -e "$here/hold" ] && [ "$tenths" -lt 300 ]; do
        sleep 0.1
        tenths=$((tenths + 1))
    done
}

# What an agent of a model would report of itself.
used() {
    printf '{"everfold":{"usage":{"model":"claude-opus-4-8","input_tokens":%s,"cached_tokens":%s,"output_tokens":%s,"cost":"%s"}}}' \
        "$1" "$2" "$3" "$4" > "$EVERFOLD_OUTPUT"
}

sleep "$(cat "$here/pace" 2> /dev/null || echo 1)"

case $EVERFOLD_STEP in
analyst)
    reach="1 to 3999"
    if [ "$EVERFOLD_ROUND" -eq 1 ]; then reach="1 to 10"; fi
    printf '# BRD of %s\n\nA script writes numbers from %s as Roman numerals.\n' "$item" "$reach" > "$docs/01-brd.md"
    printf '# TRZ\n\n`sh src/roman.sh N` prints the numeral of N.\n' > "$docs/02-trz.md"
    printf '# Acceptance criteria\n\n- 4 is IV\n- 1994 is MCMXCIV\n' > "$docs/03-acceptance-criteria.md"
    printf 'work_item: %s\ntests:\n  - { id: TC-01, type: unit, description: subtraction, module: roman, expected: IV }\n' \
        "$item" > "$docs/04-test-plan.yaml"
    used 8120 41000 3900 0.42
    ;;
architect)
    mkdir -p "$docs/06-adr"
    printf '# ADR-001: a table of values\n\nStatus: Proposed\n\nThirteen values, the largest first.\n' \
        > "$docs/06-adr/ADR-001-table-of-values.md"
    used 5200 22000 2100 0.23
    ;;
developer)
    mkdir -p src tests
    values="1000 M 500 D 100 C 50 L 10 X 5 V 1 I"
    # The first try knows no subtraction; CI finds that.
    if [ "$EVERFOLD_ROUND" -gt 1 ]; then
        values="1000 M 900 CM 500 D 400 CD 100 C 90 XC 50 L 40 XL 10 X 9 IX 5 V 4 IV 1 I"
    fi
    cat > src/roman.sh << SCRIPT
# Prints a number as a Roman numeral.
left=\$1
numeral=
set -- $values
while [ \$# -gt 0 ]; do
    while [ "\$left" -ge "\$1" ]; do
        numeral=\$numeral\$2
        left=\$((left - \$1))
    done
    shift 2
done
echo "\$numeral"
SCRIPT
    cat > tests/run.sh << 'SCRIPT'
# What CI runs.
fail=0
for case in 1=I 4=IV 9=IX 40=XL 1994=MCMXCIV 3999=MMMCMXCIX; do
    got=$(sh src/roman.sh "${case%%=*}")
    if [ "$got" != "${case#*=}" ]; then
        echo "${case%%=*}: expected ${case#*=}, got $got"
        fail=1
    fi
done
exit $fail
SCRIPT
    printf '# Changelog\n\n- `src/roman.sh` writes numbers as Roman numerals (%s, round %s).\n' "$item" "$EVERFOLD_ROUND" > CHANGELOG.md
    used 15300 120000 6400 0.95
    ;;
reviewer)
    stay
    printf -- '---\ntype: review\nwork_item_id: %s\nverdict: APPROVED\nversion: %s\n---\n\nNo P0, no P1.\n' \
        "$item" "$EVERFOLD_ROUND" > "$docs/12-review.md"
    used 9100 64000 1800 0.31
    ;;
tester)
    result=PASS
    sh tests/run.sh || result=FAIL
    printf -- '---\ntype: test-report\nwork_item_id: %s\nresult: %s\n---\n\n6 cases.\n' "$item" "$result" > "$docs/13-test-report.md"
    used 4300 18000 900 0.12
    ;;
staging)
    printf -- '---\nstaging_status: SUCCESS\ntimestamp: %s\nwork_item: %s\nmode: stub\n---\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$item" \
        > "$docs/15-staging-log.md"
    used 2100 9000 500 0.05
    ;;
deployer)
    printf -- '---\ndeploy_status: SUCCESS\ntimestamp: %s\nwork_item: %s\ndeploy_mode: artifact-only\nprod_container_restarted: false\n---\n' \
        "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$item" > "$docs/14-deploy-log.md"
    used 2400 11000 600 0.06
    ;;
esac
echo "$EVERFOLD_STEP: done"
