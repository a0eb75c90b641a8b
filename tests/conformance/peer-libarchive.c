/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "peer.h"

#include <archive.h>
#include <archive_entry.h>

/* As bsdcat does it: one entry that is the whole of the file. */
static int read_file(const char *format, const char *path)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char block[8192];
	la_ssize_t size;
	int ret, status;

	(void)archive_read_support_format_raw(a);
	(void)archive_read_support_format_empty(a);
	ret = strcmp(format, "gzip") == 0 ?
		archive_read_support_filter_gzip(a) :
		strcmp(format, "bzip2") == 0 ?
		archive_read_support_filter_bzip2(a) :
		strcmp(format, "xz") == 0 ?
		archive_read_support_filter_xz(a) :
		strcmp(format, "zstd") == 0 ?
		archive_read_support_filter_zstd(a) :
		archive_read_support_filter_lz4(a);
	if (ret != ARCHIVE_OK)
		return PEER_LACKS;
	if (archive_read_open_filename(a, path, 8192) != ARCHIVE_OK)
		return peer_failed(archive_error_string(a));
	ret = archive_read_next_header(a, &entry);
	if (ret == ARCHIVE_EOF)
		return PEER_OK;
	if (ret != ARCHIVE_OK)
		return peer_failed(archive_error_string(a));
	while ((size = archive_read_data(a, block, sizeof(block))) > 0)
		peer_put(block, (size_t)size);
	status = size == 0 ? PEER_OK : peer_failed(archive_error_string(a));
	if (archive_read_free(a) != ARCHIVE_OK)
		status = peer_failed("archive_read_free");
	return status;
}

static int add_filter(struct archive *a, const char *format)
{
	return strcmp(format, "gzip") == 0 ? archive_write_add_filter_gzip(a) :
		strcmp(format, "bzip2") == 0 ?
					     archive_write_add_filter_bzip2(a) :
		strcmp(format, "xz") == 0   ? archive_write_add_filter_xz(a) :
		strcmp(format, "zstd") == 0 ? archive_write_add_filter_zstd(a) :
					      archive_write_add_filter_lz4(a);
}

static int write_file(const char *format, const char *path)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char block[4096];
	int failed = 0;
	size_t size;

	if (add_filter(a, format) != ARCHIVE_OK)
		return PEER_LACKS;
	(void)archive_write_set_format_raw(a);
	if (archive_write_open_fd(a, open(path, O_WRONLY)) != ARCHIVE_OK)
		return peer_failed(archive_error_string(a));
	archive_entry_set_filetype(entry, AE_IFREG);
	if (archive_write_header(a, entry) != ARCHIVE_OK)
		return peer_failed(archive_error_string(a));
	while ((size = fread(block, 1, sizeof(block), stdin)) > 0) {
		if (archive_write_data(a, block, size) < 0)
			failed = 1;
	}
	if (archive_write_close(a) != ARCHIVE_OK)
		failed = 1;
	return failed ? peer_failed(archive_error_string(a)) : PEER_OK;
}

int main(int argc, char *argv[])
{
	return peer_main(argc, argv, read_file, write_file);
}
