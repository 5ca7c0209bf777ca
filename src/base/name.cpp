#include "base/name.h"

#include <algorithm>

#include "base/limits.h"

namespace tideline {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= limits::kNodeNameBytesMax && is_letter_or_digit(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace tideline
