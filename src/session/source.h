// Files that a person names: a path, or "-" for standard input, once.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cluster/cluster.h"
#include "planner/table.h"

namespace tideline {

// As read_file(); of "-" standard input to its end, kInvalidArgument when that is longer than `bytes_max`.
Result<std::string> read_source(const std::string& path, std::uint64_t bytes_max);
// How errors call it: the path, or "standard input".
std::string source_name(const std::string& path);

// load_cluster() and load_table() of such a file.
Result<Cluster> read_cluster(const std::string& path);
Result<Table> read_table(const std::string& path);

}  // namespace tideline
