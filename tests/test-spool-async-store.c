/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-async-common.h"

int main(void)
{
	return 0;
}
