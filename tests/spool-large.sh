#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# make check-large: messages of 1 GiB and of more than 4 GiB through the spool, within
# 32 MiB of resident memory.
. "${top_srcdir:-.}/tests/script-common.sh"
cd "$work" || exit 99

cat >rss.py <<'PY'
import resource, subprocess, sys
limit = float(sys.argv[1])
code = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print("peak %.1f MiB of %.0f" % (peak, limit), file=sys.stderr)
sys.exit(code if code else 1 if peak > limit else 0)
PY
within() { python3 "$work/rss.py" "$@"; }

"$BOBBIN" keygen -o key >public || exit 99

message()
{
	yes 'A line of a rather long message, which goes on and on.' |
		head -c "$1" >message
	"$BOBBIN" spool init spool$1 --body "zstd:1 | age:recipients=public" &&
		within 32 "$BOBBIN" spool put spool$1 message >id &&
		within 32 "$BOBBIN" spool get -i key spool$1 "$(cat id)" -o back &&
		cmp message back && rm -f message back
}
check "a message of 1 GiB" message 1073741824
check "a message of more than 4 GiB" message 4300000000
finish
