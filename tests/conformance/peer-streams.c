/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* One source for Bobbin and, with PEER_DOVECOT, for libdovecot. */

#ifdef PEER_DOVECOT
#include "config.h"
#include "lib.h"
#include "compression.h"
#include "istream.h"
#include "ostream.h"
#else
#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#endif

#include "peer.h"

#define BLOCK 8192

#ifdef PEER_DOVECOT
static const struct compression_handler *handler(const char *format)
{
	const char *name = strcmp(format, "gzip") == 0 ? "gz" :
		strcmp(format, "bzip2") == 0           ? "bz2" :
							 format;
	unsigned int i;

	/* its "lz4" is a container of its own */
	for (i = 0; compression_handlers[i].name != NULL; i++) {
		if (strcmp(compression_handlers[i].name, name) == 0 &&
		    strcmp(name, "lz4") != 0)
			return &compression_handlers[i];
	}
	return NULL;
}

static struct istream *decode(const char *format, struct istream *input)
{
	const struct compression_handler *h = handler(format);

	return h == NULL || h->create_istream == NULL ?
		NULL :
		h->create_istream(input);
}

static struct ostream *encode(const char *format, struct ostream *output)
{
	const struct compression_handler *h = handler(format);

	return h == NULL || h->create_ostream == NULL ?
		NULL :
		h->create_ostream(output, h->get_default_level());
}
#else
static struct istream *decode(const char *format, struct istream *input)
{
	return strcmp(format, "gzip") == 0   ? i_stream_create_gzip(input) :
		strcmp(format, "bzip2") == 0 ? i_stream_create_bz2(input) :
		strcmp(format, "xz") == 0    ? i_stream_create_xz(input) :
		strcmp(format, "zstd") == 0  ? i_stream_create_zstd(input) :
					       i_stream_create_lz4(input);
}

static struct ostream *encode(const char *format, struct ostream *output)
{
	return strcmp(format, "gzip") == 0   ? o_stream_create_gzip(output, 6) :
		strcmp(format, "bzip2") == 0 ? o_stream_create_bz2(output, 9) :
		strcmp(format, "xz") == 0    ? o_stream_create_xz(output, 6) :
		strcmp(format, "zstd") == 0  ? o_stream_create_zstd(output, 3) :
					       o_stream_create_lz4(output, 1);
}
#endif

static int read_file(const char *format, const char *path)
{
	struct istream *file = i_stream_create_file(path, BLOCK);
	struct istream *input = decode(format, file);
	const unsigned char *data;
	size_t size;
	int status = PEER_LACKS;

	if (input != NULL) {
		while (i_stream_read_more(input, &data, &size) > 0) {
			peer_put(data, size);
			i_stream_skip(input, size);
		}
		status = input->stream_errno == 0 ?
			PEER_OK :
			peer_failed(i_stream_get_error(input));
		i_stream_destroy(&input);
	}
	i_stream_destroy(&file);
	return status;
}

static int write_file(const char *format, const char *path)
{
	int fd = open(path, O_WRONLY), status = PEER_LACKS;
	struct ostream *file = o_stream_create_fd(fd, BLOCK);
	struct ostream *output = encode(format, file);
	char block[4096];
	size_t size;

	if (output != NULL) {
		o_stream_cork(output);
		while ((size = fread(block, 1, sizeof(block), stdin)) > 0)
			o_stream_nsend(output, block, size);
		status = o_stream_finish(output) > 0 ?
			PEER_OK :
			peer_failed(o_stream_get_error(output));
		o_stream_destroy(&output);
	}
	if (status != PEER_OK)
		o_stream_ignore_last_errors(file);
	else if (o_stream_finish(file) <= 0)
		status = peer_failed(o_stream_get_error(file));
	o_stream_destroy(&file);
	(void)close(fd);
	return status;
}

int main(int argc, char *argv[])
{
	int status;

#ifdef PEER_DOVECOT
	lib_init();
#endif
	status = peer_main(argc, argv, read_file, write_file);
#ifdef PEER_DOVECOT
	lib_deinit();
#endif
	return status;
}
