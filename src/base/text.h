// Small text helpers shared by every reader and every error message.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tideline {

// The candidate nearest to `word` by edit distance, or empty when none is near: for "did you mean".
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
std::vector<std::string> split(std::string_view text, char separator);
// `text` made safe for a terminal and a log: control characters and bytes over 0x7e become '?', at most `max` bytes.
std::string printable(std::string_view text, std::size_t max = 120);
// `text` with what could steer a terminal made '?': control characters (but line ends and tabs), marks that turn the direction of
// writing, and bytes that are no UTF-8. With `colours`, sequences that only set a colour stay.
std::string terminal_safe(std::string_view text, bool colours = false);
// Well-formed UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace tideline
