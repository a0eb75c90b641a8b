/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "tool-common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_MSECS 100

/* There is a line of it on stderr, which a line of something else would follow. */
static bool drawn;

bool tool_progress_parse(const char *text, enum tool_progress_mode *mode_r)
{
	if (strcmp(text, "auto") == 0)
		*mode_r = PROGRESS_AUTO;
	else if (strcmp(text, "always") == 0)
		*mode_r = PROGRESS_ALWAYS;
	else if (strcmp(text, "never") == 0)
		*mode_r = PROGRESS_NEVER;
	else
		return false;
	return true;
}

static uint64_t now_msecs(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The one place that decides whether progress is shown. */
void tool_progress_begin(struct tool_progress *progress,
			 enum tool_progress_mode mode, const char *what,
			 uint64_t total)
{
	const char *term = getenv("TERM");

	memset(progress, 0, sizeof(*progress));
	progress->what = what;
	progress->total = total;
	progress->on = mode == PROGRESS_ALWAYS ||
		(mode == PROGRESS_AUTO && isatty(STDERR_FILENO) == 1 &&
		 (term == NULL || strcmp(term, "dumb") != 0));
	progress->start_msecs = now_msecs();
	/* whoever wants it always sees it once, however short the work is */
	progress->last_msecs = mode == PROGRESS_ALWAYS ? 0 :
							 progress->start_msecs;
}

void tool_progress_show(struct tool_progress *progress, uint64_t done,
			bool bytes)
{
	uint64_t now, spent;
	double rate, unit = bytes ? 1e6 : 1;

	if (!progress->on)
		return;
	now = now_msecs();
	if (now - progress->last_msecs < REDRAW_MSECS)
		return;
	progress->last_msecs = now;
	spent = now - progress->start_msecs;
	rate = spent == 0 ? 0 : (double)done / unit * 1000 / (double)spent;
	flockfile(stderr);
	drawn = true;
	fprintf(stderr, "\r%s: %.1f %s", progress->what, (double)done / unit,
		bytes ? "MB" : "messages");
	if (progress->total > 0)
		fprintf(stderr, " (%.0f %%)",
			100.0 * (double)done / (double)progress->total);
	fprintf(stderr, ", %.1f/s\033[K", rate);
	funlockfile(stderr);
}

/* Only what was drawn: a terminal may have the end of the data in its last line. */
void tool_progress_wipe(void)
{
	flockfile(stderr);
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
	funlockfile(stderr);
}

void tool_progress_end(struct tool_progress *progress)
{
	tool_progress_wipe();
	progress->on = false;
}
