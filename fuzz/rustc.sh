#!/bin/sh
# Cargo runs this in the place of rustc for the crates of this workspace. Each gets the fuzzer's instruments: every edge is
# counted, and every comparison shown. Their dependencies stay as the tests have them, so nothing of them is built again.
set -eu
case " $* " in
*" build_script_build "* | *" --crate-type proc-macro "*) exec "$@" ;;
esac
exec "$@" --cfg=fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Copt-level=2 -Cdebuginfo=0 -Cdebug-assertions=on -Coverflow-checks=on -Ccodegen-units=16
