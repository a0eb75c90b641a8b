/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "peer.h"

#include <gmime/gmime.h>

static GMimeStream *filtered(GMimeStream *stream, GMimeFilterGZipMode mode)
{
	GMimeStream *result = g_mime_stream_filter_new(stream);
	GMimeFilter *gzip = g_mime_filter_gzip_new(mode, 6);

	g_mime_stream_filter_add(GMIME_STREAM_FILTER(result), gzip);
	g_object_unref(gzip);
	return result;
}

static int read_file(const char *format, const char *path)
{
	GMimeStream *file, *input;
	char block[8192];
	ssize_t size;

	if (strcmp(format, "gzip") != 0)
		return PEER_LACKS;
	file = g_mime_stream_fs_new(open(path, O_RDONLY));
	input = filtered(file, GMIME_FILTER_GZIP_MODE_UNZIP);
	while ((size = g_mime_stream_read(input, block, sizeof(block))) > 0)
		peer_put(block, (size_t)size);
	g_object_unref(input);
	g_object_unref(file);
	return size == 0 ? PEER_OK : peer_failed(strerror(errno));
}

static int write_file(const char *format, const char *path)
{
	GMimeStream *file, *output;
	char block[4096];
	size_t size;
	int failed = 0;

	if (strcmp(format, "gzip") != 0)
		return PEER_LACKS;
	file = g_mime_stream_fs_new(open(path, O_WRONLY));
	output = filtered(file, GMIME_FILTER_GZIP_MODE_ZIP);
	while ((size = fread(block, 1, sizeof(block), stdin)) > 0) {
		if (g_mime_stream_write(output, block, size) < 0)
			failed = errno;
	}
	if (g_mime_stream_flush(output) < 0)
		failed = errno;
	if (g_mime_stream_close(output) < 0)
		failed = errno;
	g_object_unref(output);
	g_object_unref(file);
	return failed == 0 ? PEER_OK : peer_failed(strerror(failed));
}

int main(int argc, char *argv[])
{
	g_mime_init();
	return peer_main(argc, argv, read_file, write_file);
}
