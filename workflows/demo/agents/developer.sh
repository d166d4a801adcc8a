#!/bin/sh
# The developer. In its first round it makes an honest mistake: it forgets that 4 is IV, not IIII.
# What the tests found comes back in EVERFOLD_INPUT; only then does it know better.
. "$(dirname "$0")/lib.sh"

program() {
    cat > roman.sh <<PROGRAM
#!/bin/sh
# Writes a number from 1 to 3999 as a Roman numeral: roman.sh NUMBER
set -eu

number=\${1:?usage: roman.sh NUMBER}
case \$number in
    *[!0-9]* | 0*) echo "roman.sh: \$number is no number from 1 to 3999" >&2; exit 1 ;;
esac
if [ "\$number" -gt 3999 ]; then
    echo "roman.sh: \$number is no number from 1 to 3999" >&2
    exit 1
fi

numeral=
for pair in $1; do
    value=\${pair%:*}
    while [ "\$number" -ge "\$value" ]; do
        numeral=\$numeral\${pair#*:}
        number=\$((number - value))
    done
done
echo "\$numeral"
PROGRAM
}

if grep -q 'expected IV, got IIII' "$EVERFOLD_INPUT"; then
    work "the tests say: $(grep -o '4: expected IV, got IIII' "$EVERFOLD_INPUT" | head -n 1)"
    program "1000:M 900:CM 500:D 400:CD 100:C 90:XC 50:L 40:XL 10:X 9:IX 5:V 4:IV 1:I"
    work "added the numerals that subtract"
    message="Write 4 as IV and 9 as IX"
else
    work "reading the brief and the plan"
    program "1000:M 500:D 100:C 50:L 10:X 5:V 1:I"
    work "wrote roman.sh"
    sed -n 's/^| \([0-9][0-9]*\) | \([A-Z]*\) |$/\1 \2/p' "$folder/brief.md" > cases.new
    cat cases.new >> cases.txt
    rm cases.new
    work "added the brief's examples to cases.txt"
    work "looking it all over once more"
    stay
    message="Write every number from 1 to 3999"
fi
git add --all
git commit --quiet -m "$message"
say "committed: $message"
