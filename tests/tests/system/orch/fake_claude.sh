#!/bin/sh
# An agent that speaks as Claude Code does. It does what its role has to; a file of `plan` says what else it does in a round.
# `agents` has a line for each beginning and end; `two` is written when two work for one item at once.
prompt=$(cat)
branch=$(git branch --show-current)
item=$(printf '%s' "$branch" | sed -n 's#^feature/\([A-Z]*-[0-9]*\).*#\1#p')
docs="docs/work-items/$item"
step=$EVERFOLD_STEP round=$EVERFOLD_ROUND
printf '%s\n' "$item $step $round $*" >> "$HOME/calls"
printf '%s\n' "$item $EVERFOLD_RUN" >> "$HOME/launches"
# Which credentials of other services reached it, by name.
given=
for name in ANTHROPIC_API_KEY CLAUDE_CODE_OAUTH_TOKEN GITHUB_TOKEN GITEA_TOKEN; do
  if printenv "$name" > /dev/null; then given="$given $name"; fi
done
printf '%s\n' "${given# }" >> "$HOME/credentials"
mkdir -p "$HOME/prompts" && printf '%s\n' "$prompt" > "$HOME/prompts/$item-$step-$round"
echo "begin $item $step $round" >> "$HOME/agents"
mkdir "$HOME/at-work-$item" 2>/dev/null || echo "$item $step $round" >> "$HOME/two"
say() {
  rmdir "$HOME/at-work-$item"
  echo "end $item $step $round" >> "$HOME/agents"
  printf '{"type":"system","subtype":"init","session_id":"s-%s","model":"claude-opus-4-8"}\n' "$step"
  printf '{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s-%s","total_cost_usd":0.25,"usage":{"input_tokens":1000,"output_tokens":200,"cache_read_input_tokens":500,"cache_creation_input_tokens":0},"modelUsage":{"claude-opus-4-8":{"inputTokens":1000,"outputTokens":200,"cacheReadInputTokens":500,"costUSD":0.25}}}\n' "$step"
}
verdict() { printf -- '---\ntype: %s\nwork_item_id: %s\n%s\n---\n\n%s\n' "$1" "$item" "$3" "$4" > "$docs/$2"; }
mkdir -p "$docs"
plan="$HOME/plan/$item-$step-$round"
if [ -e "$plan" ]; then . "$plan"; say; exit; fi
case "$step" in
  analyst)
    for name in 01-brd.md 02-trz.md 03-acceptance-criteria.md; do echo "# $name of round $round" > "$docs/$name"; done
    printf 'work_item: %s\ntests: []\n' "$item" > "$docs/04-test-plan.yaml" ;;
  architect) mkdir -p "$docs/06-adr" && printf '# ADR\n\nStatus: Proposed, round %s\n' "$round" > "$docs/06-adr/ADR-001-how.md" ;;
  developer)
    mkdir -p src && echo "$item $round" > "src/$item.txt" && echo "- $item, round $round" >> CHANGELOG.md
    # What it commits itself, and what it leaves behind.
    git add src && git commit --quiet -m "$item: code of round $round" ;;
  reviewer) verdict review 12-review.md "verdict: APPROVED
version: $round" "Nothing to say." ;;
  tester) verdict test-report 13-test-report.md "result: PASS" "23 passed, round $round" ;;
  staging) verdict staging 15-staging-log.md "staging_status: SUCCESS" "10/10 checks PASS, round $round" ;;
  deployer) verdict deploy 14-deploy-log.md "deploy_status: SUCCESS
deploy_mode: artifact-only" "round $round" ;;
esac
say
