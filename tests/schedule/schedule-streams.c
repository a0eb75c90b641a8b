/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "schedule-streams.h"
#include "test-stream-common.h"

#include <stdlib.h>

unsigned char *schedule_data;
struct stream_context schedule_keys;

int schedule_streams_setup(void **state)
{
	schedule_data = test_data(TEST_DATA_RANDOM, SCHEDULE_DATA_SIZE);
	if (test_keys_setup(state) < 0)
		return -1;
	schedule_keys.recipients = test_keys.recipients;
	schedule_keys.identities = test_keys.identities;
	return 0;
}

int schedule_streams_teardown(void **state)
{
	free(schedule_data);
	return test_keys_teardown(state);
}
