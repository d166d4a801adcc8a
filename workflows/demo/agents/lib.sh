# What the demo's agents share. An agent here is any program: it reads its task, edits, commits.
set -eu

here=$(dirname "$0")
folder=${DELIVERY_FOLDER:?set by the pipeline}
mkdir -p "$folder"

# One line per execution, outside the repository: proof of what really ran.
echo "$EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT $$" >> "${DEMO_EXECUTIONS:-$here/executions.log}"

say() {
    echo "$EVERFOLD_STEP: $*"
}

# Work takes time; DEMO_PACE is how many seconds one piece of it takes.
work() {
    say "$*"
    sleep "${DEMO_PACE:-1}"
}
