[ -n "$PS1" ] || return
PS1='P# '
