#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# run.sh 'NAME...' [ARG...]: what make fuzz runs, in the build's directory. Each target
# goes on from the inputs that it found the last time, below tests/fuzz/corpus, where its
# seeds are put first. An input that fails is left in tests/fuzz; the same program with
# that file as its argument shows it again. ARGs are libFuzzer's.

names=$1
shift
failed=

# what a target writes to files goes to memory, where there is such a place
if [ -z "$TMPDIR" ] && [ -w /dev/shm ]; then
	TMPDIR=/dev/shm
	export TMPDIR
fi
for name in $names; do
	dir=tests/fuzz/corpus/$name
	log=tests/fuzz/fuzz-$name.out
	mkdir -p "$dir" || exit 99
	echo "== $name, $FUZZ_SECONDS s"
	FUZZ_SEEDS=$dir "tests/fuzz/fuzz-$name" \
		-max_total_time="$FUZZ_SECONDS" -rss_limit_mb=1500 -timeout=20 \
		-max_len=4096 -print_final_stats=1 \
		-artifact_prefix="tests/fuzz/$name-" "$@" "$dir" >"$log" 2>&1 ||
		failed="$failed $name"
	sed -n 's/^stat::number_of_executed_units: */   inputs: /p' "$log"
	case $failed in *" $name") tail -60 "$log" ;; esac
done
[ -z "$failed" ] || echo "FAILED:$failed"
[ -z "$failed" ]
