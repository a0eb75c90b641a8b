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

# What a page describes, without the page's own name: each is found by that, too.
man_names = $(AWK) '/^\.Sh/ && $$2 != "NAME" { exit } \
	/^\.Nm/ && $$2 !~ /^bobbin-/ { print $$2 }'

# As install has it, all may read a page, whatever the umask is.
install-data-local: doc/man.stamp
	$(MKDIR_P) '$(DESTDIR)$(man3dir)'
	$(INSTALL_DATA) doc/bobbin-*.3 '$(DESTDIR)$(man3dir)'
	umask 022; for page in doc/bobbin-*.3; do \
		for name in `$(man_names) $$page`; do \
			echo ".so man3/`basename $$page`" \
				>"$(DESTDIR)$(man3dir)/$$name.3" || exit 1; \
		done; \
	done

uninstall-local: doc/man.stamp
	for page in doc/bobbin-*.3; do \
		for name in `$(man_names) $$page` `basename $$page .3`; do \
			rm -f "$(DESTDIR)$(man3dir)/$$name.3"; \
		done; \
	done

mostlyclean-local:
	rm -f doc/bobbin-*.3 doc/man.stamp

dist_docpages_DATA += doc/stack-specs.md doc/codecs.md doc/spool-format.md \
	doc/journal-format.md \
	doc/hooks.md doc/asynchronous.md doc/formats.md doc/architecture.md \
	doc/dovecot-differences.md doc/conformance.md doc/performance.md
