#!/bin/sh
# The reviewer: looks at the shape of the change; what it does is the tests' business.
. "$(dirname "$0")/lib.sh"

work "reading the change"
verdict=APPROVED
remark="The change follows the plan."
if ! grep -q '1994' cases.txt; then
    verdict=CHANGES
    remark="cases.txt lacks the examples of the brief."
fi
cat > "$folder/review.md" <<REVIEW
---
verdict: $verdict
---
# Review, round $EVERFOLD_ROUND

$remark
REVIEW
say "$verdict: $remark"
