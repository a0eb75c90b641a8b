/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A codec that the library does not have, Brotli (RFC 7932), as a kind of its own for
   stack specs; and a spool module that registers it, so that a spool's stacks may have
   it. */

#include <bobbin/io-infrastructure.h>
#include <bobbin/stream-kinds.h>
#include <bobbin/transform.h>

#include <brotli/decode.h>
#include <brotli/encode.h>

#include <errno.h>
#include <stdlib.h>

/*
 * The transform
 */

struct brotli {
	struct transform transform; /* comes first */
	uint32_t quality;
	/* one of them, made when it is first needed */
	BrotliEncoderState *encoder;
	BrotliDecoderState *decoder;
};

static struct brotli *brotli_of(struct transform *t)
{
	return (struct brotli *)t;
}

static void brotli_reset(struct transform *t)
{
	struct brotli *brotli = brotli_of(t);

	if (brotli->encoder != NULL)
		BrotliEncoderDestroyInstance(brotli->encoder);
	if (brotli->decoder != NULL)
		BrotliDecoderDestroyInstance(brotli->decoder);
	brotli->encoder = NULL;
	brotli->decoder = NULL;
	transform_clear_error(t);
}

static void brotli_free(struct transform *t)
{
	brotli_reset(t);
	free(brotli_of(t));
}

static BrotliEncoderOperation operation_of(enum transform_op op)
{
	switch (op) {
	case TRANSFORM_SYNC:
		return BROTLI_OPERATION_FLUSH;
	case TRANSFORM_FINISH:
		return BROTLI_OPERATION_FINISH;
	default:
		return BROTLI_OPERATION_PROCESS;
	}
}

static enum transform_status
encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct brotli *brotli = brotli_of(t);
	size_t in_size = (size_t)(io->in_end - io->in);
	size_t out_size = (size_t)(io->out_end - io->out);

	if (brotli->encoder == NULL) {
		brotli->encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
		if (brotli->encoder == NULL)
			return transform_error(t, ENOMEM, "out of memory");
		(void)BrotliEncoderSetParameter(
			brotli->encoder, BROTLI_PARAM_QUALITY, brotli->quality);
	}
	if (!BrotliEncoderCompressStream(brotli->encoder, operation_of(op),
					 &in_size, &io->in, &out_size, &io->out,
					 NULL))
		return transform_error(t, ENOMEM, "compressing failed");
	if (in_size > 0 || BrotliEncoderHasMoreOutput(brotli->encoder))
		return TRANSFORM_NEED_OUT;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static enum transform_status
decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct brotli *brotli = brotli_of(t);
	size_t in_size = (size_t)(io->in_end - io->in);
	size_t out_size = (size_t)(io->out_end - io->out);

	(void)op; /* where the input is cut, NEED_IN says so */
	if (brotli->decoder == NULL) {
		brotli->decoder = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		if (brotli->decoder == NULL)
			return transform_error(t, ENOMEM, "out of memory");
	}
	switch (BrotliDecoderDecompressStream(brotli->decoder, &in_size,
					      &io->in, &out_size, &io->out,
					      NULL)) {
	case BROTLI_DECODER_RESULT_SUCCESS:
		return TRANSFORM_END;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
		return TRANSFORM_NEED_IN;
	case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
		return TRANSFORM_NEED_OUT;
	default:
		return transform_error(
			t, EINVAL, "the data is malformed (%s)",
			BrotliDecoderErrorString(
				BrotliDecoderGetErrorCode(brotli->decoder)));
	}
}

static const struct transform_class encoder_class = {
	.name = "brotli",
	.flags = TRANSFORM_TRAILER | TRANSFORM_CAN_SYNC,
	.min_out = 1,
	.process = encode,
	.reset = brotli_reset,
	.free = brotli_free,
};

static const struct transform_class decoder_class = {
	.name = "brotli",
	.flags = TRANSFORM_DECODER | TRANSFORM_EXACT,
	.min_out = 1,
	.process = decode,
	.reset = brotli_reset,
	.free = brotli_free,
};

static struct transform *create(const struct transform_class *class_,
				int64_t quality)
{
	struct brotli *brotli = calloc(1, sizeof(*brotli));

	if (brotli == NULL)
		return transform_create_error(class_->name, class_->flags,
					      ENOMEM, "out of memory");
	brotli->transform.class_ = class_;
	brotli->quality = (uint32_t)quality;
	return &brotli->transform;
}

/*
 * The kind
 */

static struct transform *create_encoder(const struct stream_options *options)
{
	return create(&encoder_class, options->values[0].number);
}

static struct transform *create_decoder(const struct stream_options *options)
{
	return create(&decoder_class, options->values[0].number);
}

static const struct stream_kind brotli_kind = {
	.name = "brotli",
	.role = STREAM_ROLE_TRANSFORM,
	.flags = STREAM_KIND_LOSSLESS | STREAM_KIND_BINARY,
	.help = "Brotli (RFC 7932), without a checksum",
	.options = { { .name = "quality",
		       .type = STREAM_OPTION_INT,
		       .min = BROTLI_MIN_QUALITY,
		       .max = BROTLI_MAX_QUALITY,
		       .def = 5,
		       .help = "higher: smaller and slower" },
		     { .name = "async",
		       .type = STREAM_OPTION_BOOL,
		       .help = "on a thread of its own" } },
	.encoder = create_encoder,
	.decoder = create_decoder,
};

/*
 * The module: has no hooks, and is asked nothing
 */

static int brotli_init(io_infrastructure *io, const char *config)
{
	char *error;

	(void)io;
	(void)config;
	if (stream_kind_register(&brotli_kind, &error) == 0)
		return 0;
	io_set_error("%s", error);
	free(error);
	return -1;
}

io_infrastructure spool_module = {
	.shared = { .magic = SPOOL_MODULE_MAGIC,
		    .abi_version = SPOOL_MODULE_ABI,
		    .size = sizeof(io_infrastructure),
		    .name = "brotli",
		    .author = "The Bobbin authors",
		    .description = "the kind \"brotli\"",
		    .init = brotli_init },
};
