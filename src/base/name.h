// Names of nodes, of callers and of what stands in configuration beside them: one grammar everywhere, safe as a file's name, in
// a log and on a terminal.
#pragma once

#include <string_view>

namespace tideline {

// Says it to people: "a name is ...".
inline constexpr std::string_view kNameRule = "1 to 63 of A-Z a-z 0-9 . _ - that begin with a letter or a digit";
bool is_name(std::string_view text);

}  // namespace tideline
