// Names that come from outside, written into a format so that they are text there and nothing else. Whatever the bytes
// are, what is written is UTF-8: what is none becomes U+FFFD (Unicode 15, section 3.9, "maximal subpart"), except in a
// URL, which keeps every byte.
#pragma once

#include "shared/http/text.h"

namespace heartbeat {

/// A JSON string with its quotes (RFC 8259, section 7).
void add_json(Text& out, std::string_view text);

/// A part of a line of plain text: what would end the line or move about in it becomes U+FFFD.
void add_plain(Text& out, std::string_view text);

/// Content or a quoted attribute of XML 1.0. Characters that XML does not have (section 2.2) become U+FFFD.
void add_xml(Text& out, std::string_view text);

/// Content or a quoted attribute of HTML; characters as for XML.
void add_html(Text& out, std::string_view text);

/// One field of CSV (RFC 4180, section 2), in quotes where it needs them. A spreadsheet takes a field whose first
/// character other than a blank is = + - @ (or their full-width forms) or a control character for a formula: such a
/// field, and one that begins with an apostrophe, gets an apostrophe in front. So the text is the field without its
/// first apostrophe, if it begins with one.
void add_csv(Text& out, std::string_view text);

/// A part of a URL: all but the unreserved characters percent-encoded (RFC 3986, section 2.3).
void add_percent(Text& out, std::string_view text);

/// How many bytes at the start of `text`, which is not empty, are one character of UTF-8 (Unicode 15, table 3-7);
/// with `good` false: how many are to be replaced together.
std::size_t character(std::string_view text, bool& good);

}  // namespace heartbeat
