/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_RECORD_COMMON_H
#define TEST_RECORD_COMMON_H

/* Records of a message, made of lines and read. */

#include "email-message.h"
#include "test-common.h"

/* The message's id, and the lines that its record begins with. */
#define TEST_RECORD_ID "01arz3ndektsv4rrffq69g5fav"
#define TEST_RECORD_HEAD "bobbin-message 1\nid " TEST_RECORD_ID "\n"

/* With its id, and nothing else. */
email_message *test_record_new(void);
/* The record of these lines, with a checksum that is right. */
buffer_t *test_record_of(const void *lines, size_t size);
/* 0, or the errno, with its sentence in test_record_error: then the message is left empty. */
extern char test_record_error[512];
void test_record_failed(char *error);
int test_record_parse(email_message *message, const void *data, size_t size);
/* The same of test_record_of(). */
int test_record_parse_lines(email_message *message, const void *lines,
			    size_t size);

#endif
