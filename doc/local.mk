# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# The pages of section 3 are made out of the public headers: a declaration is
# described once, in its comment. The others are written by hand.

man3dir = $(mandir)/man3
man_date = November 24, 2026
man_headers = $(stream_public_headers) $(spool_public_headers)

dist_man_MANS += doc/bobbin.1 doc/bobbin-spool.5 doc/bobbin-streams.7
EXTRA_DIST += doc/header-to-man.awk

doc/man.stamp: $(man_headers) doc/header-to-man.awk Makefile
	$(AM_V_GEN)mkdir -p doc && rm -f doc/bobbin-*.3 && \
	for h in $(man_headers); do \
		name=`basename $$h .h`; \
		test $$name != compiler || continue; \
		page=bobbin-$$name; \
		$(AWK) -v date='$(man_date)' -v name=$$page -v header=$$h \
			-v header_name=$$name.h \
			-f $(srcdir)/doc/header-to-man.awk $(srcdir)/$$h \
			>doc/$$page.3 || exit 1; \
	done && touch $@

all-local: doc/man.stamp

install-data-local: doc/man.stamp
	$(MKDIR_P) '$(DESTDIR)$(man3dir)'
	$(INSTALL_DATA) doc/bobbin-*.3 '$(DESTDIR)$(man3dir)'

uninstall-local:
	for h in $(man_headers); do \
		rm -f "$(DESTDIR)$(man3dir)/bobbin-`basename $$h .h`.3"; \
	done

mostlyclean-local:
	rm -f doc/bobbin-*.3 doc/man.stamp
EXTRA_DIST += doc/stack-specs.md doc/spool-format.md doc/journal-format.md doc/hooks.md \
	doc/asynchronous.md
EXTRA_DIST += doc/formats.md doc/architecture.md doc/dovecot-differences.md \
	doc/conformance.md doc/performance.md
