/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "peer.h"

#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>

static int read_file(const char *format, const char *path)
{
	GError *error = NULL;
	GInputStream *file, *input;
	GConverter *gzip;
	char block[8192];
	gssize size;

	if (strcmp(format, "gzip") != 0)
		return PEER_LACKS;
	file = g_unix_input_stream_new(open(path, O_RDONLY), TRUE);
	gzip = G_CONVERTER(
		g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
	input = g_converter_input_stream_new(file, gzip);
	while ((size = g_input_stream_read(input, block, sizeof(block), NULL,
					   &error)) > 0)
		peer_put(block, (size_t)size);
	return size == 0 ? PEER_OK : peer_failed(error->message);
}

static int write_file(const char *format, const char *path)
{
	GError *error = NULL;
	GOutputStream *file, *output;
	GConverter *gzip;
	char block[4096];
	size_t size;
	gsize written;

	if (strcmp(format, "gzip") != 0)
		return PEER_LACKS;
	file = g_unix_output_stream_new(open(path, O_WRONLY), TRUE);
	gzip = G_CONVERTER(
		g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 6));
	output = g_converter_output_stream_new(file, gzip);
	while (error == NULL &&
	       (size = fread(block, 1, sizeof(block), stdin)) > 0)
		(void)g_output_stream_write_all(output, block, size, &written,
						NULL, &error);
	if (error == NULL)
		(void)g_output_stream_close(output, NULL, &error);
	return error == NULL ? PEER_OK : peer_failed(error->message);
}

int main(int argc, char *argv[])
{
	return peer_main(argc, argv, read_file, write_file);
}
