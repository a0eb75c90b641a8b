# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# A new test program is one line: unit_tests += tests/test-NAME. What starts
# threads is named in threaded_tests, too; what is quick enough for valgrind in
# quick_tests.

unit_tests =
script_tests =
threaded_tests =
quick_tests =

unit_tests += tests/test-panic
unit_tests += tests/test-mem
unit_tests += tests/test-buffer
unit_tests += tests/test-hash-method
unit_tests += tests/test-file-ops
unit_tests += tests/test-timeout-queue tests/test-thread-each tests/test-thread-exit
threaded_tests += tests/test-thread-each tests/test-thread-exit
unit_tests += tests/test-ioloop tests/test-ioloop-current \
	tests/test-ioloop-custom
threaded_tests += tests/test-ioloop-current
quick_tests += tests/test-panic tests/test-mem tests/test-buffer \
	tests/test-hash-method tests/test-file-ops tests/test-timeout-queue tests/test-thread-each \
	tests/test-thread-exit \
	tests/test-ioloop tests/test-ioloop-current tests/test-ioloop-custom
unit_tests += tests/test-ostream tests/test-ostream-buffer tests/test-ostream-cork
unit_tests += tests/test-ostream-state tests/test-istream-state \
	tests/test-stream-loops tests/test-stream-memory
quick_tests += tests/test-ostream-state tests/test-istream-state \
	tests/test-stream-loops tests/test-stream-memory
tests_test_stream_memory_SOURCES = tests/test-stream-memory.c \
	tests/test-mem-faults.c tests/test-mem-faults.h
unit_tests += tests/test-ostream-file tests/test-ostream-append
quick_tests += tests/test-ostream tests/test-ostream-buffer tests/test-ostream-cork \
	tests/test-ostream-file \
	tests/test-ostream-append
unit_tests += tests/test-ostream-file-atomic tests/test-ostream-file-copy \
	tests/test-ostream-file-append
quick_tests += tests/test-ostream-file-atomic tests/test-ostream-file-copy \
	tests/test-ostream-file-append
unit_tests += tests/test-named-fd tests/test-file-rights
quick_tests += tests/test-named-fd tests/test-file-rights
unit_tests += tests/test-flush-callback-error
unit_tests += tests/test-ostream-callback tests/test-ostream-callback-loop \
	tests/test-ostream-callback-stacks tests/test-ostream-callback-thread
taker_sources = tests/test-taker.c tests/test-taker.h
tests_test_ostream_callback_SOURCES = tests/test-ostream-callback.c \
	tests/test-mem-faults.c tests/test-mem-faults.h $(taker_sources)
tests_test_ostream_callback_loop_SOURCES = tests/test-ostream-callback-loop.c \
	$(taker_sources)
tests_test_ostream_callback_stacks_SOURCES = \
	tests/test-ostream-callback-stacks.c $(taker_sources)
quick_tests += tests/test-ostream-callback tests/test-ostream-callback-loop
threaded_tests += tests/test-ostream-callback-thread
unit_tests += tests/test-istream tests/test-istream-io tests/test-istream-views \
	tests/test-istream-seek
quick_tests += tests/test-istream tests/test-istream-io tests/test-istream-views \
	tests/test-istream-seek
unit_tests += tests/test-istream-plumbing tests/test-istream-checked \
	tests/test-istream-tee tests/test-ostream-plumbing
quick_tests += tests/test-istream-plumbing tests/test-istream-checked \
	tests/test-istream-tee tests/test-ostream-plumbing
unit_tests += tests/test-temp-file tests/test-iostream-temp \
	tests/test-iostream-temp-no-fallback \
	tests/test-istream-seekable tests/test-istream-timeout \
	tests/test-iostream-rawlog tests/test-iostream-fd
quick_tests += tests/test-temp-file tests/test-iostream-temp \
	tests/test-iostream-temp-no-fallback \
	tests/test-istream-seekable tests/test-istream-timeout \
	tests/test-iostream-rawlog tests/test-iostream-fd
unit_tests += tests/test-iostream-pump tests/test-iostream-pump-stop \
	tests/test-iostream-proxy
unit_tests += tests/test-nonblocking tests/test-nonblocking-ends
tests_test_nonblocking_SOURCES = tests/test-nonblocking.c $(connection_sources)
tests_test_nonblocking_ends_SOURCES = tests/test-nonblocking-ends.c \
	$(connection_sources)
connection_sources = tests/test-connection.c tests/test-connection.h
quick_tests += tests/test-iostream-pump tests/test-iostream-pump-stop \
	tests/test-iostream-proxy
unit_tests += tests/test-unix
quick_tests += tests/test-unix
unit_tests += tests/test-ostream-multiplex tests/test-ostream-multiplex-pipe \
	tests/test-istream-multiplex
quick_tests += tests/test-ostream-multiplex tests/test-ostream-multiplex-pipe \
	tests/test-istream-multiplex
unit_tests += tests/test-transforms tests/test-transforms-input \
	tests/test-transforms-output tests/test-stream-filters
quick_tests += tests/test-stream-filters
unit_tests += tests/test-transform-base64 tests/test-transform-crlf \
	tests/test-transform-qp
unit_tests += tests/test-transform-windows
quick_tests += tests/test-transform-windows
unit_tests += tests/test-transform-escape tests/test-ostream-escaped \
	tests/test-transform-dot
unit_tests += tests/test-transform-deflate tests/test-transform-lz4 \
	tests/test-transform-zstd tests/test-transform-bzip2 \
	tests/test-transform-xz tests/test-transform-dovecot-lz4
quick_tests += tests/test-transform-base64 tests/test-transform-crlf \
	tests/test-transform-qp
quick_tests += tests/test-transform-escape tests/test-ostream-escaped \
	tests/test-transform-dot
quick_tests += tests/test-transform-deflate tests/test-transform-lz4 \
	tests/test-transform-zstd tests/test-transform-bzip2 \
	tests/test-transform-xz tests/test-transform-dovecot-lz4
unit_tests += tests/test-age tests/test-age-vectors tests/test-age-crew \
	tests/test-age-threads tests/test-age-threads-input
unit_tests += tests/test-age-header tests/test-transform-armor tests/test-block-cache
unit_tests += tests/test-age-memory
quick_tests += tests/test-transform-armor tests/test-block-cache tests/test-age-memory
tests_test_age_memory_SOURCES = tests/test-age-memory.c \
	tests/test-mem-faults.c tests/test-mem-faults.h
tests_test_age_crew_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_join
tests_test_stream_forks_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_mutex_unlock
unit_tests += tests/test-stream-forks
threaded_tests += tests/test-age-crew tests/test-age-threads tests/test-stream-forks \
	tests/test-age-threads-input
unit_tests += tests/test-spool-chain tests/test-spool-load
unit_tests += tests/test-message-id tests/test-email-message \
	tests/test-message-record tests/test-message-record-hostile
quick_tests += tests/test-message-id tests/test-email-message \
	tests/test-message-record tests/test-message-record-hostile
unit_tests += tests/test-transform-async tests/test-transform-async-input \
	tests/test-transform-async-loop
threaded_tests += tests/test-transform-async tests/test-transform-async-input \
	tests/test-transform-async-loop
threaded_tests += tests/test-message-id
unit_tests += tests/test-spool-conf tests/test-wire-text tests/test-line-ends tests/test-copy-line
unit_tests += tests/test-interrupt
unit_tests += tests/test-interrupt-verbs
unit_tests += tests/test-progress tests/test-tool-options
quick_tests += tests/test-spool-conf tests/test-wire-text tests/test-line-ends tests/test-copy-line
journal_tests = tests/test-journal tests/test-journal-index \
	tests/test-journal-records \
	tests/test-journal-account tests/test-journal-victim tests/test-journal-surplus tests/test-journal-files \
	tests/test-journal-descriptors \
	tests/test-journal-full tests/test-journal-full-moves tests/test-journal-full-room \
	tests/test-journal-reserve \
	tests/test-journal-scan tests/test-journal-start tests/test-journal-footer tests/test-journal-ahead \
	tests/test-journal-parts tests/test-journal-end tests/test-journal-reader \
	tests/test-journal-damage tests/test-journal-damage-segments tests/test-journal-rests \
	tests/test-journal-missing tests/test-journal-next \
	tests/test-journal-queue tests/test-journal-writer \
	tests/test-journal-expect \
	tests/test-journal-walk tests/test-journal-slots tests/test-journal-blocks \
	tests/test-journal-claims tests/test-journal-repair tests/test-journal-repair-files \
	tests/test-journal-unkept \
	tests/test-journal-compaction tests/test-journal-upkeep \
	tests/test-journal-carry tests/test-journal-void tests/test-journal-void-range \
	tests/test-journal-states tests/test-journal-states-random \
	tests/test-module-journal tests/test-module-journal-bodies \
	tests/test-module-journal-files \
	tests/test-module-journal-files-damage tests/test-module-journal-reader \
	tests/test-module-journal-list \
	tests/test-module-memory tests/test-module-failure
unit_tests += $(journal_tests)
quick_tests += $(journal_tests)
threaded_tests += $(journal_tests)
unit_tests += tests/test-journal-full-random tests/test-journal-full-threads
threaded_tests += tests/test-journal-full-threads
unit_tests += tests/test-spool-async tests/test-spool-async-new \
	tests/test-spool-async-store tests/test-spool-async-groups \
	tests/test-spool-async-full
threaded_tests += tests/test-spool-async tests/test-spool-async-new \
	tests/test-spool-async-store tests/test-spool-async-groups \
	tests/test-spool-async-full
unit_tests += tests/test-spool-scan tests/test-spool-scan-once \
	tests/test-spool-limits tests/test-spool-kinds
unit_tests += tests/test-spool-migrate tests/test-spool-migrate-keep \
	tests/test-spool-migrate-many tests/test-spool-migrate-modules
threaded_tests += tests/test-spool-migrate tests/test-spool-migrate-keep \
	tests/test-spool-migrate-many tests/test-spool-migrate-modules
unit_tests += tests/test-spool-scan tests/test-spool-killed tests/test-spool-hooks \
	tests/test-spool-hook-errors
threaded_tests += tests/test-spool-scan tests/test-spool-scan-once \
	tests/test-spool-hooks
unit_tests += tests/test-module-file tests/test-module-file-aside \
	tests/test-module-file-claim \
	tests/test-module-file-damage tests/test-module-file-headers \
	tests/test-module-file-new tests/test-module-file-rewrite tests/test-module-file-sweep \
	tests/test-module-file-hostile tests/test-module-file-list \
	tests/test-module-file-number-1 \
	tests/test-module-file-problems
unit_tests += tests/test-spool-init tests/test-spool-open tests/test-spool-body \
	tests/test-spool-memory tests/test-spool-wire
threaded_tests += tests/test-module-file tests/test-module-file-claim \
	tests/test-module-file-damage \
	tests/test-module-file-new tests/test-module-file-rewrite \
	tests/test-spool-open
unit_tests += tests/crash/test-crash-file-store tests/crash/test-crash-damage
unit_tests += tests/crash/test-crash-sequences
unit_tests += tests/crash/test-crash-journal \
	tests/crash/test-crash-journal-faults \
	tests/crash/test-crash-journal-full \
	tests/crash/test-crash-journal-groups \
	tests/crash/test-crash-journal-overruled \
	tests/crash/test-crash-journal-segments

script_tests += tests/examples.sh
script_tests += tests/tool-cat.sh
script_tests += tests/tool-spool.sh
script_tests += tests/tool-journal.sh tests/tool-repair.sh
script_tests += tests/tool-migrate.sh
script_tests += tests/tool-failures.sh
script_tests += tests/read-journal.sh
# What a sanitizer says nothing about, or says it in the codecs' own tests.
source_tests = tests/tool-codecs.sh tests/check-doveadm.sh \
	tests/check-symbols.sh tests/check-headers.sh \
	tests/check-docs.sh tests/check-outside-program.sh \
	tests/check-outside-module.sh tests/check-both-libraries.sh \
	tests/compat.sh tests/real-disks.sh tests/real-cuts.sh
if !SANITIZED
script_tests += $(source_tests)
endif
unit_tests += tests/test-stack-spec tests/test-stack-streams
unit_tests += tests/test-stack-detect
unit_tests += tests/test-stream-kinds tests/test-stream-registry \
	tests/test-stream-kinds-null
threaded_tests += tests/test-stream-registry
quick_tests += tests/test-stack-spec tests/test-stack-streams \
	tests/test-stack-detect tests/test-stream-kinds \
	tests/test-stream-registry tests/test-stream-kinds-null

tests_test_journal_account_SOURCES = tests/test-journal-account.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_footer_SOURCES = tests/test-journal-footer.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_index_SOURCES = tests/test-journal-index.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_slots_SOURCES = tests/test-journal-slots.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_parts_SOURCES = tests/test-journal-parts.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_void_range_SOURCES = tests/test-journal-void-range.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_journal_walk_SOURCES = tests/test-journal-walk.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_spool_body_SOURCES = tests/test-spool-body.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_spool_memory_SOURCES = tests/test-spool-memory.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_spool_scan_once_SOURCES = tests/test-spool-scan-once.c \
	tests/test-mem-faults.c tests/test-mem-faults.h

tests_test_interrupt_SOURCES = tests/test-interrupt.c tools/interrupt.c \
	tools/tool-common.h
tests_test_interrupt_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
tests_test_interrupt_verbs_SOURCES = tests/test-interrupt-verbs.c \
	tools/cmd-keygen.c tools/cmd-spool-init.c tools/interrupt.c tools/keys.c \
	tools/options.c tools/progress.c tools/spool-common.c tools/spool-common.h \
	tools/text-out.c tools/tool-common.c tools/tool-common.h
tests_test_interrupt_verbs_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
tests_test_progress_SOURCES = tests/test-progress.c tools/interrupt.c tools/progress.c \
	tools/text-out.c tools/tool-common.c tools/tool-common.h
tests_test_progress_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
tests_test_tool_options_SOURCES = tests/test-tool-options.c tools/interrupt.c \
	tools/options.c tools/progress.c tools/text-out.c tools/tool-common.c \
	tools/tool-common.h
tests_test_tool_options_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
tests_test_line_ends_SOURCES = tests/test-line-ends.c tools/line-ends.c \
	tools/line-ends.h
tests_test_line_ends_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools

crash_sources = tests/crash/crash-model.c tests/crash/crash-model.h \
	tests/crash/crash-explore.c tests/crash/crash-private.h
crash_spool_sources = $(crash_sources) \
	tests/crash/crash-spool.c tests/crash/crash-workload.c \
	tests/crash/crash-spool.h tests/crash/crash-spool-private.h
tests_crash_test_crash_file_store_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-file-store.c
tests_crash_test_crash_damage_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-damage.c
tests_crash_test_crash_sequences_SOURCES = $(crash_spool_sources) \
	tests/crash/crash-ledger.c tests/crash/crash-ledger-look.c \
	tests/crash/crash-ledger.h tests/crash/crash-ledger-private.h \
	tests/crash/test-crash-sequences.c
tests_crash_test_crash_journal_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal.c
tests_crash_test_crash_journal_faults_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal-faults.c
tests_crash_test_crash_journal_full_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal-full.c
tests_crash_test_crash_journal_groups_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal-groups.c
tests_crash_test_crash_journal_overruled_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal-overruled.c
tests_crash_test_crash_journal_segments_SOURCES = $(crash_spool_sources) \
	tests/crash/test-crash-journal-segments.c

# In orders that a number decides. What has atomic variables is compiled once more, so that
# others may go on before each look at one.
schedule_calls = pthread_mutex_lock pthread_mutex_unlock pthread_mutex_trylock \
	pthread_mutex_destroy pthread_cond_wait pthread_cond_timedwait \
	pthread_cond_signal pthread_cond_broadcast pthread_cond_destroy \
	pthread_create pthread_join pthread_detach pthread_once sem_wait sem_post sem_destroy \
	clock_gettime epoll_wait eventfd_read eventfd_write randombytes_buf \
	randombytes_random
schedule_ldflags = $(AM_LDFLAGS) $(schedule_calls:%=-Wl,--wrap=%)
schedule_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/crash \
	-include $(top_srcdir)/tests/schedule/schedule-atomics.h
schedule_atomic_sources = tests/schedule/schedule-atomics.h \
	lib-spool/journal/journal-queue.c lib-spool/spool.c \
	lib-spool/spool-async.c lib-spool/spool-scan.c \
	lib-spool/modules/module-journal-body.c \
	lib-spool/modules/module-journal-pending.c
schedule_sources = tests/schedule/schedule.c tests/schedule/schedule.h \
	tests/schedule/schedule-private.h tests/schedule/schedule-calls.c \
	tests/schedule/schedule-files.c
unit_tests += tests/schedule/test-schedule tests/schedule/test-schedule-stores \
	tests/schedule/test-schedule-async tests/schedule/test-schedule-full \
	tests/schedule/test-schedule-streams tests/schedule/test-schedule-loops \
	tests/schedule/test-schedule-migrate tests/schedule/test-schedule-marks
tests_schedule_test_schedule_SOURCES = $(schedule_sources) \
	tests/schedule/test-schedule.c
tests_schedule_test_schedule_LDFLAGS = $(schedule_ldflags)
schedule_spool_sources = $(schedule_sources) $(schedule_atomic_sources) \
	$(crash_spool_sources)
tests_schedule_test_schedule_stores_SOURCES = $(schedule_spool_sources) \
	tests/schedule/test-schedule-stores.c
tests_schedule_test_schedule_stores_CPPFLAGS = $(schedule_cppflags)
tests_schedule_test_schedule_stores_LDFLAGS = $(schedule_ldflags)
tests_schedule_test_schedule_full_SOURCES = $(schedule_sources) \
	$(schedule_atomic_sources) tests/test-journal-full-threads.c
tests_schedule_test_schedule_full_CPPFLAGS = $(schedule_cppflags) \
	-DTEST_SCHEDULE -I$(top_srcdir)/tests/schedule
tests_schedule_test_schedule_full_LDFLAGS = $(schedule_ldflags)
schedule_stream_sources = $(schedule_sources) \
	tests/schedule/schedule-streams.c tests/schedule/schedule-streams.h
tests_schedule_test_schedule_streams_SOURCES = $(schedule_stream_sources) \
	tests/schedule/test-schedule-streams.c
tests_schedule_test_schedule_streams_LDFLAGS = $(schedule_ldflags)
tests_schedule_test_schedule_loops_SOURCES = $(schedule_stream_sources) \
	tests/schedule/test-schedule-loops.c
tests_schedule_test_schedule_loops_LDFLAGS = $(schedule_ldflags)
tests_schedule_test_schedule_migrate_SOURCES = $(schedule_sources) \
	$(schedule_atomic_sources) tests/schedule/test-schedule-migrate.c
tests_schedule_test_schedule_migrate_CPPFLAGS = $(schedule_cppflags)
tests_schedule_test_schedule_migrate_LDFLAGS = $(schedule_ldflags)
tests_schedule_test_schedule_marks_SOURCES = $(schedule_sources) \
	tests/schedule/schedule-atomics.h lib/process-mark.c \
	tests/schedule/test-schedule-marks.c
tests_schedule_test_schedule_marks_CPPFLAGS = $(schedule_cppflags)
tests_schedule_test_schedule_marks_LDFLAGS = $(schedule_ldflags)
tests_schedule_test_schedule_async_SOURCES = $(schedule_spool_sources) \
	tests/schedule/test-schedule-async.c
tests_schedule_test_schedule_async_CPPFLAGS = $(schedule_cppflags)
tests_schedule_test_schedule_async_LDFLAGS = $(schedule_ldflags)

# The same tests over the example's loop.
if HAVE_LIBEV
unit_tests += tests/test-nonblocking-libev tests/test-nonblocking-ends-libev
libev_sources = $(connection_sources) examples/ioloop-libev.c \
	examples/ioloop-libev.h
libev_cppflags = $(AM_CPPFLAGS) -DTEST_LIBEV -I$(top_srcdir)/examples \
	-Iexamples/include
tests_test_nonblocking_libev_SOURCES = tests/test-nonblocking.c $(libev_sources)
tests_test_nonblocking_libev_CPPFLAGS = $(libev_cppflags)
tests_test_nonblocking_libev_LDADD = $(LDADD) $(LIBEV_LIBS)
tests_test_nonblocking_ends_libev_SOURCES = tests/test-nonblocking-ends.c \
	$(libev_sources)
tests_test_nonblocking_ends_libev_CPPFLAGS = $(libev_cppflags)
tests_test_nonblocking_ends_libev_LDADD = $(LDADD) $(LIBEV_LIBS)
examples/tests_test_nonblocking_libev-ioloop-libev.$(OBJEXT) \
examples/tests_test_nonblocking_ends_libev-ioloop-libev.$(OBJEXT): \
		examples/include/bobbin.stamp
endif

noinst_HEADERS += tests/test-common.h tests/test-faults.h \
	tests/test-ioloop-common.h tests/test-pump-common.h \
	tests/test-record-common.h \
	tests/test-stream-common.h tests/test-codec-common.h \
	tests/test-held-codec.h tests/test-spool-common.h \
	tests/test-journal-common.h tests/test-journal-disk.h \
	tests/test-journal-gate.h \
	tests/test-migrate-common.h \
	tests/test-async-common.h

if HAVE_CMOCKA
check_LTLIBRARIES += tests/libtestcommon.la
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
TESTS += $(script_tests)
EXTRA_DIST += $(script_tests) $(source_tests) tests/lint.sh tests/read-journal.py tests/mutants.py tests/mutants.list \
	tests/spool-large.sh tests/script-common.sh tests/disk-common.sh tests/data tests/compat \
	tests/conformance \
	tests/install-packages
tests_libtestcommon_la_SOURCES = tests/test-common.c tests/test-faults.c \
	tests/test-ioloop-common.c tests/test-pump-common.c \
	tests/test-record-common.c \
	tests/test-stream-common.c tests/test-codec-common.c \
	tests/test-held-codec.c tests/test-spool-common.c \
	tests/test-journal-common.c tests/test-journal-disk.c \
	tests/test-journal-gate.c \
	tests/test-migrate-common.c \
	tests/test-async-common.c

AM_CPPFLAGS += -I$(top_srcdir)/tests $(CMOCKA_CFLAGS)
LDADD = tests/libtestcommon.la libspool-objects.la libstream-objects.la $(CMOCKA_LIBS)

AM_TESTS_ENVIRONMENT = \
	TEST_DATA='$(abs_top_srcdir)/tests/data'; export TEST_DATA; \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	BOBBIN='$(abs_top_builddir)/tools/bobbin'; export BOBBIN; \
	CC='$(CC)'; export CC; \
	AWK='$(AWK)'; export AWK; \
	PKG_CONFIG='$(PKG_CONFIG)'; export PKG_CONFIG; \
	TEST_CPPFLAGS='$(DEFAULT_INCLUDES) $(AM_CPPFLAGS)'; \
	export TEST_CPPFLAGS; \
	TEST_CFLAGS='$(BOBBIN_LDFLAGS)'; export TEST_CFLAGS; \
	STREAM_PUBLIC_HEADERS='$(stream_public_headers)'; \
	STREAM_PRIVATE_HEADERS='$(stream_private_headers)'; \
	SPOOL_PUBLIC_HEADERS='$(spool_public_headers)'; \
	SPOOL_PRIVATE_HEADERS='$(spool_private_headers)'; \
	STREAM_LIBS='$(stream_libs)'; \
	export STREAM_PUBLIC_HEADERS STREAM_PRIVATE_HEADERS \
		SPOOL_PUBLIC_HEADERS SPOOL_PRIVATE_HEADERS STREAM_LIBS;

# They install, which relinks the libraries that the other tests use: the last ones,
# one after the other. (By variables, or automake would take it for rules in place of
# its own.)
last_log = tests/check-outside-program.sh.log
very_last_log = tests/check-outside-module.sh.log
$(last_log): $(filter-out $(last_log) $(very_last_log),$(TEST_LOGS))
$(very_last_log): $(filter-out $(very_last_log),$(TEST_LOGS))
with_valgrind = $(LIBTOOL) --mode=execute valgrind --quiet \
	--leak-check=full --errors-for-leak-kinds=definite \
	--error-exitcode=99
if USE_VALGRIND
LOG_COMPILER = $(with_valgrind)
endif

# A part of the tests; only what it needs is built.
.PHONY: check-some check-threaded check-quick check-quick-valgrind
check-some: $(BUILT_SOURCES)
	$(MAKE) check-TESTS TESTS='$(SOME)' \
		check_PROGRAMS='$(filter-out %.sh,$(SOME))'
check-threaded:
	$(MAKE) check-some SOME='$(threaded_tests)'
check-quick:
	$(MAKE) check-some SOME='$(quick_tests)'
check-quick-valgrind:
	$(MAKE) check-quick LOG_COMPILER='$(with_valgrind)'

# The tests' own test: syncs, orders and checks taken out one at a time.
.PHONY: check-mutants
check-mutants: $(check_PROGRAMS)
	$(top_srcdir)/tests/mutants.py --build='$(abs_top_builddir)'

# The same files and calls through other libraries: writes doc/conformance.md.
.PHONY: conformance
conformance: all
	$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/conformance/run.sh

# Many more states of a cut disk.
.PHONY: crash-soak
crash-soak:
	CRASH_STATES=$${CRASH_STATES:-400} \
		CRASH_SEQUENCES=$${CRASH_SEQUENCES:-1000} $(MAKE) check-some \
		SOME='tests/crash/test-crash-damage \
		tests/crash/test-crash-file-store \
		tests/crash/test-crash-sequences \
		tests/crash/test-crash-journal \
		tests/crash/test-crash-journal-faults \
		tests/crash/test-crash-journal-full \
		tests/crash/test-crash-journal-groups \
		tests/crash/test-crash-journal-overruled \
		tests/crash/test-crash-journal-segments'

# Many more orders of threads.
.PHONY: schedule-soak
schedule-soak:
	SCHEDULES=$${SCHEDULES:-3000} $(MAKE) check-some \
		SOME='tests/schedule/test-schedule-stores \
		tests/schedule/test-schedule-async \
		tests/schedule/test-schedule-full \
		tests/schedule/test-schedule-streams \
		tests/schedule/test-schedule-loops \
		tests/schedule/test-schedule-marks \
		tests/schedule/test-schedule-migrate'

# A million messages in each store, and killed all the time.
.PHONY: kill-soak
kill-soak:
	KILL_MESSAGES=$${KILL_MESSAGES:-1000000} $(MAKE) check-some SOME=tests/test-spool-killed

# Power cuts on real file systems.
.PHONY: cut-soak
cut-soak:
	REAL_CUTS=$${REAL_CUTS:-300} $(MAKE) check-some SOME=tests/real-cuts.sh

# Full disks of any kind.
.PHONY: full-soak
full-soak:
	FULL_DISKS=$${FULL_DISKS:-3000} $(MAKE) check-some \
		SOME='tests/test-journal-full-random tests/test-journal-full-threads'

# 100 MiB files, 10 GiB streams, messages of more than 4 GiB.
.PHONY: check-large
large_tests = tests/test-transform-deflate tests/tool-cat.sh
check-large: all
	BOBBIN_LARGE=1 $(MAKE) check-some SOME='$(large_tests)'
	$(AM_TESTS_ENVIRONMENT) BOBBIN_LARGE=1 $(SHELL) \
		$(srcdir)/tests/spool-large.sh

include tests/fuzz/local.mk
