/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_LINE_ENDS_H
#define BOBBIN_LINE_ENDS_H

#include "transform.h"

/* What kind of line ends went through: valid when the data is through. */
struct line_ends {
	bool lf, crlf; /* seen; a lone CR that passes is the latter */
	bool final;    /* the last line is ended (or there is no line) */
};

/* A transform at the door of the spool: passes mail whose lines all end in LF or all
   in CRLF, and fails (EINVAL, with the line's number) at the first that does not,
   or at a lone CR. With `normalise` it passes them, a lone CR as CRLF. *seen is
   written to while it lives. */
struct transform *line_ends_create(bool normalise, struct line_ends *seen);

#endif
