/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "temp-seals.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <string.h>

#define MIN_SIZE ((size_t)16)

struct temp_seal {
	uint64_t chunk;
	uint64_t number; /* 0: nothing is here */
};

/* Where the chunk is, or would be put; there is a free place always. */
static size_t find_place(const struct temp_seals *seals, uint64_t chunk)
{
	/* 2^64 over the golden ratio: neighbours are spread over all places */
	uint64_t hash = chunk * 0x9e3779b97f4a7c15;
	size_t place = (size_t)(hash >> 32) & (seals->size - 1);

	while (seals->places[place].number != 0 &&
	       seals->places[place].chunk != chunk)
		place = (place + 1) & (seals->size - 1);
	return place;
}

static int grow(struct temp_seals *seals)
{
	struct temp_seals larger = { NULL, I_MAX(seals->size * 2, MIN_SIZE),
				     seals->used };
	size_t i;

	larger.places = try_calloc(larger.size, sizeof(*larger.places));
	if (larger.places == NULL)
		return -1;
	for (i = 0; i < seals->size; i++) {
		if (seals->places[i].number != 0)
			larger.places[find_place(&larger,
						 seals->places[i].chunk)] =
				seals->places[i];
	}
	i_free(seals->places);
	*seals = larger;
	return 0;
}

int temp_seals_reserve(struct temp_seals *seals, uint64_t chunk)
{
	if (seals->used < seals->size / 4 * 3 ||
	    temp_seals_get(seals, chunk) != 0)
		return 0;
	return grow(seals);
}

void temp_seals_set(struct temp_seals *seals, uint64_t chunk, uint64_t number)
{
	size_t place;

	i_assert(number != 0 && seals->used < seals->size);
	place = find_place(seals, chunk);
	if (seals->places[place].number == 0)
		seals->used++;
	seals->places[place].chunk = chunk;
	seals->places[place].number = number;
}

uint64_t temp_seals_get(const struct temp_seals *seals, uint64_t chunk)
{
	return seals->size == 0 ?
		0 :
		seals->places[find_place(seals, chunk)].number;
}

void temp_seals_free(struct temp_seals *seals)
{
	i_free(seals->places);
	memset(seals, 0, sizeof(*seals));
}
