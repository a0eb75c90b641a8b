# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Makes a manual page in mdoc of a public header: what a declaration's comment
# says is said once, there.
#
#	awk -v date=DATE -v name=PAGE -v header=lib/x.h -v header_name=x.h \
#		-f header-to-man.awk lib/x.h
#
# With -v check=1 it only tells what has no comment, and fails then.
#
#   - the first comment is what the page is about; its first sentence the name;
#   - a comment of the form "/*", " * Title", " */" begins a section;
#   - any other comment is about the declarations behind it, up to the next
#     comment or empty line;
#   - lines that are indented are kept as they are, "- " begins a paragraph.

function trim(s)
{
	gsub(/^[ \t\n]+|[ \t\n]+$/, "", s)
	return s
}

function escape(s)
{
	gsub(/\\/, "\\e", s)
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

# Prose: one sentence a line, as mdoc wants it.
function prose(text,    lines, n, i, out, kept, line)
{
	n = split(text, lines, "\n")
	out = ""
	kept = 0
	for (i = 1; i <= n; i++) {
		line = lines[i]
		if (line ~ /^    / || (kept && line == "")) {
			if (!kept) {
				sub(/\n?\.Pp$/, "", out)
				out = out (out == "" ? "" : "\n") \
					".Bd -literal -offset indent"
				kept = 1
			}
			out = out "\n" escape(line)
			continue
		}
		if (kept) {
			sub(/\n+$/, "", out)
			out = out "\n.Ed\n.Pp"
			kept = 0
		}
		line = trim(line)
		if (line == "") {
			if (out != "" && out !~ /\.Pp$/)
				out = out "\n.Pp"
			continue
		}
		if (line ~ /^- /) {
			if (out != "" && out !~ /\.Pp$/)
				out = out "\n.Pp"
		}
		while (match(line, /\.[)"]? [A-Z"]/)) {
			out = out (out == "" ? "" : "\n") \
				escape(substr(line, 1, RSTART + RLENGTH - 3))
			line = substr(line, RSTART + RLENGTH - 1)
		}
		out = out (out == "" ? "" : "\n") escape(line)
	}
	if (kept) {
		sub(/\n+$/, "", out)
		out = out "\n.Ed"
	}
	sub(/\n\.Pp$/, "", out)
	return out
}

# "int a, int (*f)(void *, int)": the arguments, quoted.
function arguments(list,    i, c, depth, arg, out)
{
	depth = 0
	arg = out = ""
	for (i = 1; i <= length(list); i++) {
		c = substr(list, i, 1)
		if (c == "(" || c == "[")
			depth++
		if (c == ")" || c == "]")
			depth--
		if (c == "," && depth == 0) {
			out = out " \"" trim(arg) "\""
			arg = ""
		} else {
			arg = arg c
		}
	}
	return out " \"" trim(arg) "\""
}

# A declaration in one line, without its semicolon, into the current group.
function declaration(text,    at, type, fn, list, i)
{
	gsub(/ATTR_[A-Z_]+\([^()]*\)/, "", text)
	gsub(/ATTR_[A-Z_]+/, "", text)
	gsub(/[ \t\n]+/, " ", text)
	text = trim(text)
	if (text ~ /^(struct|enum|union) [a-zA-Z_0-9]+$/ || text == "")
		return
	if (text ~ /^typedef /) {
		literal(text ";")
		return
	}
	if (text ~ /^extern / && text !~ /\(/) {
		synopsis = synopsis ".Vt " text "\n"
		fn = text
		sub(/\[.*/, "", fn)
		sub(/.*[ *]/, "", fn)
		tag("Va " fn, fn)
		return
	}
	sub(/^static inline /, "", text)
	if (!match(text, /[a-zA-Z_][a-zA-Z_0-9]*\(/))
		return
	type = trim(substr(text, 1, RSTART - 1))
	fn = substr(text, RSTART, RLENGTH - 1)
	list = substr(text, RSTART + RLENGTH)
	sub(/\)[^)]*$/, "", list)
	if (type != "")
		synopsis = synopsis ".Ft \"" type "\"\n"
	synopsis = synopsis ".Fn " fn arguments(list) "\n"
	tag("Fn " fn, fn)
}

function tag(macro, symbol)
{
	names[++name_count] = symbol
	tags[++tag_count] = macro
}

function literal(text)
{
	literals = literals (literals == "" ? "" : "\n") text
}

function end_list()
{
	if (in_list)
		body = body ".El\n"
	in_list = 0
}

# Puts the group out: what was declared, and what was said about it.
function end_group(    i, text, lines, n)
{
	if (tag_count == 0 && literals == "") {
		if (doc != "") {
			end_list()
			body = body ".Pp\n" prose(doc) "\n"
		}
		doc = ""
		return
	}
	if (tag_count > 0 && !in_list) {
		body = body ".Bl -tag -width Ds\n"
		in_list = 1
	}
	for (i = 1; i <= tag_count; i++) {
		body = body ".It " tags[i] "\n"
		if (doc == "" && check) {
			sub(/.* /, "", tags[i])
			print header ": no comment says what " tags[i] " does"
			undocumented = 1
		}
	}
	if (tag_count == 0)
		end_list()
	if (doc != "") {
		if (tag_count == 0)
			body = body ".Pp\n"
		body = body prose(doc) "\n"
	}
	if (literals != "") {
		body = body ".Bd -literal\n"
		n = split(literals, lines, "\n")
		for (i = 1; i <= n; i++)
			body = body escape(lines[i]) "\n"
		body = body ".Ed\n"
	}
	tag_count = 0
	literals = ""
	doc = ""
}

function section(title)
{
	end_group()
	end_list()
	body = body ".Ss " title "\n"
}

# A line of a directive, which goes on in the next one behind a backslash.
function macro_line(line)
{
	in_macro = line ~ /\\$/
	sub(/[ \t]*\\$/, "", line)
	gsub(/[ \t]+/, " ", line)
	sub(/^ /, "", line)
	macro = macro (macro == "" || macro ~ /\($/ ? "" : " ") line
	if (!in_macro)
		directive(macro)
}

# A macro with arguments is a function like any other, one in capitals without them a
# constant.
function directive(line)
{
	if (line ~ /^#define [a-z][a-zA-Z_0-9]*\(/) {
		sub(/^#define /, "", line)
		sub(/\).*/, ")", line)
		declaration(line)
	} else if (line ~ /^#define [A-Z][A-Z_0-9]+ /) {
		literal(line)
	}
}

# A whole comment, without its signs. indent: how its lines are indented.
function comment(text,    title)
{
	if (text ~ /Copyright \(c\)/)
		return
	if (text ~ /^\n/) {
		title = text
		gsub(/\n \*?/, " ", title)
		gsub(/[ \t]+/, " ", title)
		section(trim(title))
		return
	}
	gsub(/\n   /, "\n", text)
	text = trim(text)
	if (intro == "" && !seen_code) {
		intro = text
		return
	}
	end_group()
	doc = text
}

# Lines of a comment may hold code before or behind it only inside of braces.
BEGIN { depth = 0 }
in_comment {
	close_at = index($0, "*/")
	if (close_at == 0) {
		text = text "\n" $0
		next
	}
	in_comment = 0
	comment(text "\n" substr($0, 1, close_at - 1))
	next
}
in_macro {
	macro_line($0)
	next
}
depth == 0 && /^[ \t]*\/\*/ {
	line = $0
	sub(/^[ \t]*\/\* ?/, "", line)
	close_at = index(line, "*/")
	if (close_at > 0) {
		comment(substr(line, 1, close_at - 1))
	} else {
		text = line
		in_comment = 1
	}
	next
}
depth == 0 && /^#/ {
	if (/^#include "types.h"/ || /^#include </)
		seen_code = 1
	macro = ""
	macro_line($0)
	next
}
depth == 0 && /^(BOBBIN_BEGIN_DECLS|BOBBIN_END_DECLS)/ {
	seen_code = 1
	next
}
depth == 0 && /^[ \t]*$/ && pending == "" {
	end_group()
	next
}
{
	seen_code = 1
	if (pending == "" && depth == 0)
		is_body = 0
	pending = pending (pending == "" ? "" : "\n") $0
	line = $0
	gsub(/\/\*.*\*\//, "", line)
	depth += gsub(/{/, "{", line)
	depth -= gsub(/}/, "}", line)
	if (depth > 0)
		next
	if (pending ~ /^static inline/) {
		if (line !~ /}/)
			next
		sub(/\n{.*/, "", pending)
		declaration(pending)
		pending = ""
	} else if (line ~ /;/) {
		if (pending ~ /{/) {
			if (tag_count > 0)
				end_group()
			literal(pending)
		} else {
			sub(/;.*/, "", pending)
			declaration(pending)
		}
		pending = ""
	}
}
END {
	end_group()
	end_list()
	if (check)
		exit undocumented
	title = intro
	gsub(/[ \t\n]+/, " ", title)
	if (match(title, /[.:;] /))
		title = substr(title, 1, RSTART - 1)
	sub(/\.$/, "", title)
	first = substr(title, 1, 1)
	if (substr(title, 2, 1) ~ /[a-z ]/)
		title = tolower(first) substr(title, 2)
	print ".\\\" Copyright (c) 2026 The Bobbin authors. MIT licence."
	print ".\\\" Made of " header " by doc/header-to-man.awk."
	print ".Dd " date
	print ".Dt " toupper(name) " 3"
	print ".Os"
	print ".Sh NAME"
	print ".Nm " name (name_count > 0 ? " ," : "")
	for (i = 1; i <= name_count; i++)
		if (!(names[i] in printed)) {
			printed[names[i]] = 1
			order[++unique] = names[i]
		}
	for (i = 1; i <= unique; i++)
		print ".Nm " order[i] (i < unique ? " ," : "")
	print ".Nd " title
	print ".Sh SYNOPSIS"
	print ".In bobbin/" header_name
	printf "%s", synopsis
	print ".Sh DESCRIPTION"
	print prose(intro)
	printf "%s", body
	print ".Sh SEE ALSO"
	print ".Xr bobbin 1 ,"
	print ".Xr bobbin-streams 7"
}
