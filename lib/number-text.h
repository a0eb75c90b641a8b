/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_NUMBER_TEXT_H
#define BOBBIN_NUMBER_TEXT_H

/* A number as decimal digits, for what is written with every message: printf() takes longer
   than all the rest. Not installed. */

#include "types.h"

/* The most there are. */
#define NUMBER_TEXT_SIZE 20

/* Where the digits begin, which end with `text`, without a NUL. */
static inline char *number_to_text(uint64_t number, char text[NUMBER_TEXT_SIZE])
{
	char *p = text + NUMBER_TEXT_SIZE;

	do {
		*--p = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return p;
}

#endif
