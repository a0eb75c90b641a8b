# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Prints the name of every function and variable with external linkage that the
# given headers declare, one a line. A declaration is what stands outside of
# braces, up to its semicolon.

function declared(text,    name)
{
	gsub(/(BOBBIN_BEGIN_DECLS|BOBBIN_END_DECLS)/, " ", text)
	gsub(/ATTR_[A-Z_]+\([^()]*\)/, " ", text)
	gsub(/ATTR_[A-Z_]+/, " ", text)
	gsub(/[ \t\n]+/, " ", text)
	sub(/^ /, "", text)
	if (text ~ /^(typedef|static|struct [a-zA-Z_0-9]+$|enum [a-zA-Z_0-9]+$|union )/)
		return
	if (text ~ /^extern "C"/ || text == "")
		return
	if (text ~ /^extern / && text !~ /\(/) {
		sub(/\[.*/, "", text)
		sub(/ $/, "", text)
		sub(/.*[ *]/, "", text)
		name = text
	} else if (match(text, /[a-zA-Z_][a-zA-Z_0-9]* ?\(/)) {
		name = substr(text, RSTART, RLENGTH - 1)
		sub(/ $/, "", name)
		# nothing before the name: not a declaration
		if (RSTART == 1)
			return
	} else {
		return
	}
	print name
}

# Takes a line without comments and directives.
function scan(line,    i, c)
{
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (c == "{") {
			depth++
		} else if (c == "}") {
			depth--
			# the end of a function's body; a struct's has a ";"
			if (depth == 0 && pending ~ /\)[ \t\n]*$/)
				pending = ""
		} else if (depth > 0) {
			continue
		} else if (c == ";") {
			declared(pending)
			pending = ""
		} else {
			pending = pending c
		}
	}
	pending = pending " "
}

FNR == 1 { depth = 0; pending = ""; in_comment = 0; in_directive = 0 }
{
	line = $0
	out = ""
	while (line != "") {
		if (in_comment) {
			end = index(line, "*/")
			if (end == 0) {
				line = ""
			} else {
				line = substr(line, end + 2)
				in_comment = 0
			}
		} else {
			start = index(line, "/*")
			if (start == 0) {
				out = out line
				line = ""
			} else {
				out = out substr(line, 1, start - 1) " "
				line = substr(line, start + 2)
				in_comment = 1
			}
		}
	}
	if (in_directive || out ~ /^[ \t]*#/) {
		in_directive = out ~ /\\$/
		next
	}
	scan(out)
}
