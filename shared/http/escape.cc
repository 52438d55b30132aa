// Names that come from outside, written into a format.
#include "shared/http/escape.h"

namespace heartbeat {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// What stands for a byte below 128 in some format; null where it stands for itself.
using Stands = std::string_view (*)(char);

void add_escaped(Text& out, std::string_view text, Stands stands) {
  std::size_t from = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    bool good = true;
    std::size_t size = character(text.substr(at), good);
    std::string_view instead = !good ? kReplacement : size == 1 ? stands(text[at]) : std::string_view();
    if (instead.data() != nullptr) {
      out.add(text.substr(from, at - from)).add(instead);
      from = at + size;
    }
    at += size;
  }
  out.add(text.substr(from));
}

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }

constexpr char kJsonControls[][7] = {
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b",     "\\t",     "\\n",
    "\\u000b", "\\f",     "\\r",     "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015",
    "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f"};

// "<" too, though JSON does not ask for it: nothing that looks at the bytes as HTML finds a tag.
std::string_view in_json(char c) {
  if (static_cast<unsigned char>(c) < ' ') return kJsonControls[static_cast<unsigned char>(c)];
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '<':
      return "\\u003c";
    case 127:
      return "\\u007f";
    default:
      return {};
  }
}

// White space other than a blank as a reference: an attribute's would become blanks (XML 1.0, section 3.3.3).
std::string_view in_markup(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    case '\t':
      return "&#9;";
    case '\n':
      return "&#10;";
    case '\r':
      return "&#13;";
    default:
      return is_control(c) ? kReplacement : std::string_view();
  }
}

// U+FFFE and U+FFFF, the only ones beyond ASCII that XML does not have and UTF-8 does.
std::size_t find_noncharacter(std::string_view text) {
  std::size_t low = text.find("\xef\xbf\xbe");
  std::size_t high = text.find("\xef\xbf\xbf");
  return low < high ? low : high;
}

void add_markup(Text& out, std::string_view text) {
  for (;;) {
    std::size_t none = find_noncharacter(text);
    add_escaped(out, text.substr(0, none), in_markup);
    if (none == std::string_view::npos) return;
    out.add(kReplacement);
    text.remove_prefix(none + kReplacement.size());
  }
}

std::string_view in_csv(char c) {
  if (c == '"') return "\"\"";
  return is_control(c) && c != '\t' && c != '\r' && c != '\n' ? kReplacement : std::string_view();
}

// What makes a spreadsheet take a field for a formula; some take the full-width forms, too.
bool like_formula(std::string_view text) {
  text.remove_prefix(text.find_first_not_of(' ') < text.size() ? text.find_first_not_of(' ') : text.size());
  if (text.empty()) return false;
  if (std::string_view("=+-@").find(text[0]) != std::string_view::npos || is_control(text[0])) return true;
  return text.starts_with("\xef\xbc\x9d") || text.starts_with("\xef\xbc\x8b") || text.starts_with("\xef\xbc\x8d") ||
         text.starts_with("\xef\xbc\xa0");
}

}  // namespace

std::size_t character(std::string_view text, bool& good) {
  auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  unsigned first = at(0);
  good = first < 0x80;
  if (good || first < 0xc2 || first > 0xf4) return 1;
  std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;  // shorter ways of writing the same, and
  unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;   // what is no character
  if (at(1) < least || at(1) > most) return 1;
  for (std::size_t i = 2; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return i;
  }
  good = true;
  return size;
}

// U+2028 and U+2029 are text in JSON, but ended a line in JavaScript before ECMAScript 2019.
void add_json(Text& out, std::string_view text) {
  out.add("\"");
  for (std::size_t at = 0; (at = text.find("\xe2\x80", at)) != std::string_view::npos;) {
    std::string_view instead = text.substr(at).starts_with("\xe2\x80\xa8")   ? "\\u2028"
                               : text.substr(at).starts_with("\xe2\x80\xa9") ? "\\u2029"
                                                                             : "";
    at += 2;
    if (instead.empty()) continue;
    add_escaped(out, text.substr(0, at - 2), in_json);
    out.add(instead);
    text.remove_prefix(at + 1);
    at = 0;
  }
  add_escaped(out, text, in_json);
  out.add("\"");
}

// Controls are those below a blank, U+007F to U+009F, and the two that separate lines.
void add_plain(Text& out, std::string_view text) {
  while (!text.empty()) {
    bool good = true;
    std::string_view one = text.substr(0, character(text, good));
    bool control = (one.size() == 1 && is_control(one[0])) || (one.size() == 2 && one >= "\xc2\x80" && one < "\xc2\xa0") ||
                   one == "\xe2\x80\xa8" || one == "\xe2\x80\xa9";
    out.add(good && !control ? one : kReplacement);
    text.remove_prefix(one.size());
  }
}

void add_xml(Text& out, std::string_view text) { add_markup(out, text); }
void add_html(Text& out, std::string_view text) { add_markup(out, text); }

void add_csv(Text& out, std::string_view text) {
  bool marked = text.starts_with('\'') || like_formula(text);
  bool quoted = marked || text.find_first_of(",\"\r\n\t;") != std::string_view::npos || text.starts_with(' ') ||
                text.ends_with(' ');
  if (quoted) out.add("\"");
  if (marked) out.add("'");
  add_escaped(out, text, in_csv);
  if (quoted) out.add("\"");
}

void add_percent(Text& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
    if (letter || (c >= '0' && c <= '9') || std::string_view("-._~").find(c) != std::string_view::npos) {
      out.add({&c, 1});
    } else {
      char code[3] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
      out.add({code, sizeof code});
    }
  }
}

}  // namespace heartbeat
