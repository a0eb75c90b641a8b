# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

# A new test program is one line: check_PROGRAMS += tests/test-NAME
