#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# make check-large: what takes minutes. 100 MiB through each codec and the public
# tools both ways; 10 GiB through gzip, zstd and age, a message of 1 GiB and one of
# more than 4 GiB through the spool, each within its bound of resident memory.
. "${top_srcdir:-.}/tests/script-common.sh"
: "${BOBBIN:=$top_builddir/tools/bobbin}"
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

# 100 MiB, half of it compressible
(head -c 52428800 /dev/urandom
 yes 'The quick brown fox jumps over the lazy dog.' | head -c 52428800) >in

both_ways()
{
	kind=$1 spec=$2 undo=$3
	shift 3
	"$BOBBIN" cat --to "$spec" -o out.$kind in &&
		sh -c "$undo <out.$kind" | cmp - in || return 1
	"$@" <in >theirs.$kind && "$BOBBIN" cat -i key theirs.$kind | cmp - in &&
		rm -f out.$kind theirs.$kind
}
check "100 MiB, gzip" both_ways gzip gzip:6 "gzip -dc" gzip -c
check "100 MiB, lz4" both_ways lz4 lz4:1 "lz4 -dc" lz4 -zc
check "100 MiB, zstd" both_ways zstd zstd:3 "zstd -dc" zstd -qc
check "100 MiB, age" both_ways age age:recipients=public "age -d -i key" \
	age -r "$(cat public)"
rm -f in

big() { head -c 10737418240 /dev/zero | within 24 "$BOBBIN" cat --to "$1" >/dev/null; }
check "10 GiB, gzip" big gzip:1
check "10 GiB, zstd" big zstd:1
check "10 GiB, age" big age:recipients=public

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
