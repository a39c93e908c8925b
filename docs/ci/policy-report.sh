#!/bin/sh
# Looks at a change of a policy, and writes what to say at it to a file (Markdown). Fails where the change should not be merged.
#
#   policy-report.sh BASE [DIR [REPORT]]     BASE: what it is to be merged into, for instance origin/main
#
# SALLYPORT_API and SALLYPORT_TOKEN (of an auditor) are needed for the replay of recorded commands; without them it is left out.
# Run the script of the branch that is merged into, never that of the change: it holds the token.
set -u
base=$1
dir=${2:-policy}
report=${3:-policy-report.md}
since=${SINCE:-30d}
status=0
looser=newly-allowed,no-longer-held,weaker-masks,roles-gained,refused-to-held,other-reviewers,less-classified
looser=$looser,trusted-code,session-goes-on,observing,targets

: >"$report"
# Everything runs, whatever came before: who reads the report wants all of it.
step() {
    title=$1
    shift
    printf '\n### %s\n\n' "$title" >>"$report"
    "$@" >>"$report" || status=1
}
# What a program says is not Markdown: four blanks before each line make it a text, whatever is in it.
quoted() {
    said=$("$@" 2>&1)
    code=$?
    printf '%s\n' "$said" | sed 's/^/    /'
    return $code
}

step 'Is it valid?' quoted sallyport policy check --strict "$dir"
step 'Does it do what its cases say?' quoted sallyport policy test --min-coverage "${MIN_COVERAGE:-90}" "$dir"
if [ -f "$dir/properties.toml" ]; then
    step 'What must always be true' sallyport policy prove "$dir" --format markdown
fi
step 'What it changes' sallyport policy diff "$base" "$dir" --format markdown --fail-on "${FAIL_ON_DIFF:-$looser}"
if [ -n "${SALLYPORT_TOKEN:-}" ]; then
    step "What it would have changed in the last $since" \
        sallyport policy replay --against "$dir" --since "$since" --format markdown --fail-on "${FAIL_ON_REPLAY:-newly-allowed=0,no-longer-held=0,weaker-masks=0,refused-to-held=0}"
fi
exit $status
