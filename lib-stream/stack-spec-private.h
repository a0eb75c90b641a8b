/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STACK_SPEC_PRIVATE_H
#define BOBBIN_STACK_SPEC_PRIVATE_H

/* What the parser makes and the builder reads. Not installed. */

#include "stack-spec.h"
#include "stream-options.h"

struct stack_layer {
	const struct stream_kind *kind;
	struct stream_options options;
};

struct stack_spec {
	unsigned int count; /* an end does not count */
	struct stack_layer *layers;
	/* behind the last layer; kind NULL: there is none */
	struct stack_layer end;
};

#endif
