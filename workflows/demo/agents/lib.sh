# What the demo's agents share. An agent here is any program: it reads its task, edits, commits.
set -eu

here=$(dirname "$0")
folder=${DELIVERY_FOLDER:?set by the pipeline}
mkdir -p "$folder"

# One line per execution, outside the repository: proof of what really ran.
echo "$EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT $$" >> "$here/executions.log"

say() {
    echo "$EVERFOLD_STEP: $*"
}

# Work takes time: one second for each piece of it, or what stands in the file `pace`.
work() {
    say "$*"
    sleep "$(cat "$here/pace" 2> /dev/null || echo 1)"
}

# Stays at work for as long as the file `hold` is there, half a minute at most: the demo takes the
# engine away meanwhile, and what it shows shall not depend on how fast a machine starts programs.
stay() {
    tenths=0
    while [ -e "$here/hold" ] && [ "$tenths" -lt 300 ]; do
        sleep 0.1
        tenths=$((tenths + 1))
        if [ $((tenths % 10)) -eq 0 ]; then say "and once more"; fi
    done
}
