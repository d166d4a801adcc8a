# What fits at the cursor, as everfold says. Bash ends a word at each colon, equals sign and at sign (COMP_WORDBREAKS), and ids of
# tasks have the first, options and their values the others: the pieces are put together before the program is asked, and what
# stands before the piece that bash would replace is cut from the answers. The words before the cursor are given as a command
# would get them: without quotes, with the values of variables. The names here begin with a mark, so that they hide no variable
# that is typed.
_everfold() {
    local _mark=$'\013' _rest=$COMP_LINE _before= _piece= _word= _quote= _answers= _words=() _i _n=-1 _tilde=
    for ((_i = 0; _i <= COMP_CWORD; _i++)); do
        _piece=${COMP_WORDS[_i]}
        if ((_n > 0)) && [[ $_rest != [[:blank:]]* && ($_piece == [:=@]* || ${_words[_n]} == *[:=@]) ]]; then
            _before=${_words[_n]}
        else
            _before=
            _n=$((_n + 1))
        fi
        _rest=${_rest#*"$_piece"}
        _words[_n]=$_before$_piece
    done
    for ((_i = 1; _i < _n; _i++)); do
        _word=${_words[_i]}
        _everfold_word "$_word"
        _words[_i]=$_word
    done
    # Before version 4 bash does not tell the pieces.
    if ((BASH_VERSINFO[0] >= 4)); then
        _everfold_at_cursor "$2"
        if [[ $2 == \~*/* ]]; then
            _tilde=1
        fi
    fi
    _answers=$(
        EVERFOLD_COMPLETE=bash _CLAP_IFS=$_mark _CLAP_COMPLETE_INDEX=$_n everfold -- "${_words[@]}"
    ) || {
        unset COMPREPLY
        return
    }
    # Not by an array of the answer itself, which would put names of files in the place of an answer with a star.
    COMPREPLY=()
    if [[ -n $_answers ]]; then
        IFS=$_mark read -r -d '' -a COMPREPLY <<<"$_answers" || :
        _i=$((${#COMPREPLY[@]} - 1))
        COMPREPLY[_i]=${COMPREPLY[_i]%$'\n'}
    fi
    for _i in "${!COMPREPLY[@]}"; do
        _word=${COMPREPLY[_i]#"$_before"}
        _everfold_quoted
        COMPREPLY[_i]=$_word
    done
    if ((${#COMPREPLY[@]} == 1)) && [[ $COMPREPLY == *[=/:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
# Leaves in `_words[_n]` what stands before the cursor, in `_before` what of it bash does not replace, and in `_quote` the quote that
# is open there. What bash replaces is given: it begins behind a colon, an equals sign or an open quote, and at an at sign.
_everfold_at_cursor() {
    local _opened=${_piece%"$1"}
    if [[ $_opened != "$_piece" && $_opened == *[\"\'] || -z $1 && $_opened == *[\"\'] ]]; then
        _quote=${_opened:${#_opened}-1}
        _before=$_before${_opened%?}
    elif [[ $_piece == [\"\']* && $1 != [\"\']* ]]; then
        _quote=${_piece:0:1}
    elif [[ $1 == @* && $_piece != "$1"* ]]; then
        _before=$_before$_piece
        _before=${_before%@*}
    elif [[ -z ${_piece//[:=@]/} ]]; then
        _before=$_before${_piece%"$1"}
    fi
    _word=$_before
    _everfold_word "$_word"
    _before=$_word
    _word=$1
    # A variable or a tilde stays, since an answer would take its place.
    if [[ -z $_quote && $1 != *[\$~]* ]]; then
        _everfold_word "$_word"
    fi
    _words[_n]=$_before$_word
}
# Leaves in `_word` what a command would get for a word: without quotes, with the folder that a tilde means and the values of
# variables. Nothing is run and nothing is set for that: a word with anything else in it stays as it is typed.
_everfold_word() {
    local _rest=$1 _quote= _got= _char= _value=
    local _variable='^(\{([A-Za-z_][A-Za-z_0-9]*)\}|[A-Za-z_][A-Za-z_0-9]*)'
    if [[ $1 != *[\\\"\'\$~\`]* ]]; then
        return 0
    fi
    while [[ -n $_rest ]]; do
        _char=${_rest:0:1}
        _rest=${_rest:1}
        if [[ $_char == "$_quote" ]]; then
            _quote=
        elif [[ $_quote == \' ]]; then
            _got=$_got$_char
        elif [[ $_char == \\ ]]; then
            if [[ -z $_rest || $_rest == $'\n'* ]]; then
                return 0
            fi
            if [[ -z $_quote || $_rest == [\\\"\$\`]* ]]; then
                _char=${_rest:0:1}
                _rest=${_rest:1}
            fi
            _got=$_got$_char
        elif [[ $_char == \$ ]]; then
            if [[ ! $_rest =~ $_variable ]]; then
                return 0
            fi
            _rest=${_rest#"${BASH_REMATCH[1]}"}
            _everfold_value "${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}" || return 0
            _got=$_got$_value
        elif [[ $_char == \` || -z $_quote && $_char == [\;\&\|\<\>\(\)$'\n'] ]]; then
            return 0
        elif [[ -z $_quote && $_char == [\"\'] ]]; then
            _quote=$_char
        elif [[ -z $_quote && $_char == \~ ]]; then
            _everfold_home "${1%"~$_rest"}"
            _got=$_got$_value
        else
            _got=$_got$_char
        fi
    done
    if [[ -z $_quote ]]; then
        _word=$_got
    fi
}
# Leaves the value of a variable in `_value`; fails where reading it may run something, as a reference to a variable can (`declare -n`).
_everfold_value() {
    _value=$(declare -p "$1" 2>/dev/null)
    if [[ $1 == _ || ${_value%%[ =]"$1"*} == *-*n* ]]; then
        return 1
    fi
    if [[ -n $_value ]]; then
        _value=${!1-}
    fi
}
# Leaves in `_value` the folder that a tilde means and takes its name from `_rest`; leaves the tilde itself where it means none.
# What stands before it in the word is given: it means one at the beginning, and in the value of a setting, where a colon ends it.
_everfold_home() {
    local _name=${_rest%%/*} _home= _setting='^[A-Za-z_][A-Za-z_0-9]*=(.*:)?$'
    _value='~'
    if [[ $1 =~ $_setting ]]; then
        _name=${_name%%:*}
    elif [[ -n $1 ]]; then
        return 0
    fi
    case $_name in
        '') _home=~ ;;
        +) _home=$PWD ;;
        -) _home=${OLDPWD-} ;;
        [!A-Za-z_]* | *[!A-Za-z_0-9.-]*) ;;
        *)
            _home=$(getent passwd "$_name" 2>/dev/null)
            _home=${_home%:*}
            _home=${_home##*:}
            ;;
    esac
    if [[ -n $_home ]]; then
        _value=$_home
        _rest=${_rest#"$_name"}
    fi
}
# Marks in `_word`, an answer, what would be more than itself where it is put.
_everfold_quoted() {
    local _sign
    case $_quote in
        \') _word=${_word//\'/\'\\\'\'} ;;
        \")
            for _sign in \\ \" \$ \`; do
                _word=${_word//"$_sign"/"\\$_sign"}
            done
            # Between double quotes nothing keeps the history from it.
            _word=${_word//\!/\"\\\!\"}
            ;;
        *)
            for _sign in \\ ' ' $'\t' \' \" '(' ')' '&' ';' '<' '>' '|' \$ \` '*' '?' '[' ']' '{' '}' '!'; do
                _word=${_word//"$_sign"/"\\$_sign"}
            done
            _word=${_word//$'\n'/"\$'\\n'"}
            # A tilde behind these would be a folder, too.
            _word=${_word//=\~/=\\~}
            _word=${_word//:\~/:\\~}
            # The folder that was typed with a tilde stays that.
            if [[ $_word == \#* || $_word == \~* && -z $_tilde ]]; then
                _word=\\$_word
            fi
            ;;
    esac
}
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -o bashdefault -o nosort -F _everfold everfold
else
    complete -o bashdefault -F _everfold everfold
fi
