# What fits at the cursor, as everfold says. Bash ends a word at each colon and equals sign (COMP_WORDBREAKS), and ids of tasks
# have the one, options the other: the pieces are put together before the program is asked, and what stands before the last
# mark, which bash leaves as it is, is cut from the answers. The words before the cursor are given as a command would get them:
# without quotes, with the values of variables.
_everfold() {
    local IFS=$'\013' rest=$COMP_LINE before= piece= words=() i n=-1
    # What would run something, or give a variable a value, is left as it is typed.
    local runs='[]`()<>;&|![]|\$[^A-Za-z_{]|\$\{[A-Za-z_0-9]*[^A-Za-z_0-9}]'
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if ((n > 0)) && [[ $rest != [[:blank:]]* && ($piece == [:=]* || ${words[n]} == *[:=]) ]]; then
            before=${words[n]}
        else
            before=
            n=$((n + 1))
        fi
        rest=${rest#*"$piece"}
        words[n]=$before$piece
    done
    for ((i = 1; i < n; i++)); do
        if [[ ! ${words[i]} =~ $runs && ${words[i]} != *$'\n'* ]]; then
            eval "words[i]=${words[i]}" 2>/dev/null
        fi
    done
    # Of the piece at the cursor what stands before it; behind a mark that is nothing. Before version 4 bash does not tell.
    if ((BASH_VERSINFO[0] >= 4)); then
        if [[ -z ${piece//[:=]/} ]]; then
            before=$before$piece
        fi
        words[n]=$before$2
    fi
    COMPREPLY=($(
        EVERFOLD_COMPLETE=bash _CLAP_IFS=$IFS _CLAP_COMPLETE_INDEX=$n everfold -- "${words[@]}"
    )) || {
        unset COMPREPLY
        return
    }
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    # Of a name that is no word by itself the marks are escaped, unless it stands in quotes.
    if [[ $piece != [\"\']* ]]; then
        for i in "${!COMPREPLY[@]}"; do
            for piece in ' ' \' \" '(' ')' '&' ';' '<' '>' '|'; do
                COMPREPLY[i]=${COMPREPLY[i]//"$piece"/"\\$piece"}
            done
        done
    fi
    if ((${#COMPREPLY[@]} == 1)) && [[ $COMPREPLY == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -o bashdefault -o nosort -F _everfold everfold
else
    complete -o bashdefault -F _everfold everfold
fi
