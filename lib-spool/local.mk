# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
