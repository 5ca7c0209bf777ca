// Links to files of data: what a folder that shares its files with others has. Stateless; thread-safe.
#pragma once

#include <optional>
#include <string>

namespace tideline {

// The folder, without links in its path, of the file that the symbolic link `path` ends at; nullopt when `path` is no link.
std::optional<std::string> folder_behind_link(const std::string& path);

// The name of the file right inside `target_folder` that the symbolic link `relative` inside `folder` names, at one remove;
// nullopt when it is no link or names something else. Only the link's text is believed: whoever opens the name beneath
// target_folder decides anew whether it may be read.
std::optional<std::string> name_behind_link(const std::string& folder, const std::string& relative,
                                            const std::string& target_folder);

// A symbolic link, or a file that has other names too.
bool is_linked(const std::string& path);

}  // namespace tideline
