# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

spool_public_headers += lib-spool/message-id.h lib-spool/email-message.h \
	lib-spool/io-infrastructure.h lib-spool/spool.h \
	lib-spool/spool-modules.h lib-spool/spool-async.h
spool_private_headers += lib-spool/message-record.h \
	lib-spool/message-record-format.h \
	lib-spool/spool-private.h lib-spool/spool-chain.h \
	lib-spool/spool-async-private.h lib-spool/spool-stacks.h lib-spool/modules/module-file.h \
	lib-spool/modules/module-file-private.h \
	lib-spool/modules/module-journal.h \
	lib-spool/modules/module-journal-private.h \
	lib-spool/journal/journal-format.h lib-spool/journal/journal.h \
	lib-spool/journal/journal-private.h lib-spool/journal/journal-index.h \
	lib-spool/journal/journal-slots.h \
	lib-spool/journal/journal-footer.h lib-spool/journal/journal-scan.h lib-spool/journal/journal-victim.h \
	lib-spool/journal/journal-worker.h \
	lib-spool/journal/journal-files.h lib-spool/journal/journal-group.h

spool_sources += lib-spool/message-id.c
spool_sources += lib-spool/email-message.c
spool_sources += lib-spool/message-record.c lib-spool/message-record-parse.c
spool_sources += lib-spool/io-error.c
spool_sources += lib-spool/spool.c
spool_sources += lib-spool/spool-wire.c
spool_sources += lib-spool/spool-init.c
spool_sources += lib-spool/spool-load.c
spool_sources += lib-spool/spool-chain.c
spool_sources += lib-spool/spool-message.c
spool_sources += lib-spool/spool-migrate.c
spool_sources += lib-spool/spool-async.c
spool_sources += lib-spool/spool-pool.c
spool_sources += lib-spool/spool-body.c
spool_sources += lib-spool/spool-scan.c
spool_sources += lib-spool/spool-conf.c
spool_sources += lib-spool/spool-stacks.c
spool_sources += lib-spool/spool-dir.c
spool_sources += lib-spool/spool-quarantine.c
spool_sources += lib-spool/spool-store.c
spool_sources += lib-spool/modules/module-file.c
spool_sources += lib-spool/modules/module-file-entry.c
spool_sources += lib-spool/modules/module-file-note.c
spool_sources += lib-spool/modules/module-file-busy.c
spool_sources += lib-spool/modules/module-file-known.c
spool_sources += lib-spool/modules/module-file-scan.c
spool_sources += lib-spool/modules/module-file-write.c
spool_sources += lib-spool/modules/module-file-read.c
spool_sources += lib-spool/modules/module-file-walk.c
spool_sources += lib-spool/modules/module-file-list.c
spool_sources += lib-spool/modules/module-file-verify.c
spool_sources += lib-spool/modules/module-file-strays.c
spool_sources += lib-spool/modules/module-journal.c
spool_sources += lib-spool/modules/module-journal-pending.c
spool_sources += lib-spool/modules/module-journal-body.c
spool_sources += lib-spool/modules/module-journal-write.c
spool_sources += lib-spool/modules/module-journal-scan.c
spool_sources += lib-spool/modules/module-journal-repair.c
spool_sources += lib-spool/modules/module-journal-read.c
spool_sources += lib-spool/modules/module-journal-list.c
spool_sources += lib-spool/modules/module-journal-losses.c
spool_sources += lib-spool/modules/module-journal-newer.c
spool_sources += lib-spool/modules/module-memory.c
spool_sources += lib-spool/journal/journal-format.c
spool_sources += lib-spool/journal/journal-index.c
spool_sources += lib-spool/journal/journal-slots.c
spool_sources += lib-spool/journal/journal-void.c
spool_sources += lib-spool/journal/journal-replay.c
spool_sources += lib-spool/journal/journal-footer-read.c
spool_sources += lib-spool/journal/journal-walk.c
spool_sources += lib-spool/journal/journal-files.c
spool_sources += lib-spool/journal/journal-segment.c
spool_sources += lib-spool/journal/journal-make.c
spool_sources += lib-spool/journal/journal-next.c
spool_sources += lib-spool/journal/journal-reserve.c
spool_sources += lib-spool/journal/journal-account.c
spool_sources += lib-spool/journal/journal-apply.c
spool_sources += lib-spool/journal/journal-group.c
spool_sources += lib-spool/journal/journal-commit.c
spool_sources += lib-spool/journal/journal-queue.c
spool_sources += lib-spool/journal/journal-read.c
spool_sources += lib-spool/journal/journal-compact.c
spool_sources += lib-spool/journal/journal-victim.c
spool_sources += lib-spool/journal/journal-carry.c
spool_sources += lib-spool/journal/journal-clock.c
spool_sources += lib-spool/journal/journal-worker.c
spool_sources += lib-spool/journal/journal-stats.c
spool_sources += lib-spool/journal/journal-scan.c
spool_sources += lib-spool/journal/journal-footer.c
spool_sources += lib-spool/journal/journal-ahead.c
spool_sources += lib-spool/journal/journal-parts.c
spool_sources += lib-spool/journal/journal-look.c
spool_sources += lib-spool/journal/journal-recover.c
spool_sources += lib-spool/journal/journal-damage.c
spool_sources += lib-spool/journal/journal-rests.c
spool_sources += lib-spool/journal/journal-bodies.c
spool_sources += lib-spool/journal/journal.c
spool_sources += lib-spool/modules/module-null.c
spool_sources += lib-spool/modules/module-failure.c
