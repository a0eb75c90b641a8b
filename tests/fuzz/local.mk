# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# make fuzz: targets for clang's libFuzzer, each for FUZZ_SECONDS. Not a test, and not a
# part of any other target: all sources are compiled once more for it. FUZZ=NAME takes one.
# A new target is a name here and a file fuzz-NAME.c.

fuzz_names = decoders round-trips outputs specs plumbing auto records \
	journal files

FUZZ_SECONDS = 60
FUZZ = $(fuzz_names)
FUZZ_ARGS =

fuzz_sources = $(stream_sources) $(spool_sources) \
	$(filter %.c,$(tests_libtestcommon_la_SOURCES)) \
	tests/fuzz/fuzz-common.c tests/fuzz/fuzz-spool.c tests/fuzz/fuzz-store.c \
	tests/fuzz/fuzz-store-damage.c tests/fuzz/fuzz-store-scan.c \
	tests/fuzz/fuzz-loop.c \
	$(filter %.c,$(taker_sources))
fuzz_objects = $(fuzz_sources:%.c=tests/fuzz/objects/%.o)
fuzz_programs = $(fuzz_names:%=tests/fuzz/fuzz-%)
EXTRA_DIST += $(fuzz_names:%=tests/fuzz/fuzz-%.c) tests/fuzz/fuzz-common.c \
	tests/fuzz/fuzz-common.h tests/fuzz/fuzz-spool.c tests/fuzz/fuzz-spool.h \
	tests/fuzz/fuzz-store.c tests/fuzz/fuzz-store-damage.c \
	tests/fuzz/fuzz-store-scan.c tests/fuzz/fuzz-store.h tests/fuzz/fuzz-loop.c tests/fuzz/fuzz-loop.h \
	tests/fuzz/run.sh

# As the bench's peers these are no programs of automake's, which would have a rule for
# each object in everybody's Makefile.
tests/fuzz/objects/%.o: %.c | $(BUILT_SOURCES)
	$(AM_V_CC)mkdir -p $(@D) && $(CC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) \
		-I$(top_srcdir)/tests/fuzz $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS) \
		$(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
tests/fuzz/libfuzz.a: $(fuzz_objects)
	$(AM_V_AR)rm -f $@ && $(AR) cr $@ $(fuzz_objects)
tests/fuzz/fuzz-%: tests/fuzz/objects/tests/fuzz/fuzz-%.o tests/fuzz/libfuzz.a
	$(AM_V_CCLD)$(CC) $(CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ \
		$(CMOCKA_LIBS) $(stream_libs) $(LIBS)
.PRECIOUS: tests/fuzz/objects/%.o
-include $(wildcard tests/fuzz/objects/*/*.d tests/fuzz/objects/*/*/*.d)

.PHONY: fuzz
if HAVE_FUZZER
if HAVE_CMOCKA
fuzz: $(FUZZ:%=tests/fuzz/fuzz-%)
	$(AM_TESTS_ENVIRONMENT) FUZZ_SECONDS='$(FUZZ_SECONDS)' \
		$(SHELL) $(srcdir)/tests/fuzz/run.sh '$(FUZZ)' $(FUZZ_ARGS)
else
fuzz:
	@echo 'NOT RUN: the targets need cmocka (Debian: libcmocka-dev)'
endif
else
fuzz:
	@echo 'NOT RUN: $(CC) has no libFuzzer (Debian: clang, libclang-rt-14-dev; ./configure CC=clang)'
endif

.PHONY: fuzz-clean
clean-local: fuzz-clean
fuzz-clean:
	-rm -rf tests/fuzz/objects tests/fuzz/libfuzz.a tests/fuzz/*.out $(fuzz_programs)
