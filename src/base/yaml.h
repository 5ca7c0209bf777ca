// A strict layer over yaml-cpp: every error names file, line and column; unknown and duplicate keys are errors with the
// nearest known name; anchors, aliases and tags are refused; size and depth are limited before parsing.
//
//   TIDELINE_TRY(const YamlNode root, parse_yaml(text, "cluster.yaml"));
//   TIDELINE_TRY(YamlMap map, root.map());
//   TIDELINE_TRY(const std::string name, map.required("name").text());
//   TIDELINE_TRY(const double slowdown, map.optional("slowdown").number_or(1.0));
//   TIDELINE_CHECK_OK(map.finish());   // the keys not asked for are unknown
//
// Values; not thread-safe while being read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

class YamlMap;

class YamlNode {
 public:
  struct Data;
  YamlNode(std::shared_ptr<const Data> data, std::string path) : data_(std::move(data)), path_(std::move(path)) {}

  // A missing optional key gives a node that is absent; every reader but the *_or ones refuses it.
  bool present() const { return data_ != nullptr; }
  Result<std::string> text() const;
  Result<std::string> text_or(std::string fallback) const;
  // Finite.
  Result<double> number() const;
  Result<double> number_or(double fallback) const;
  Result<std::int64_t> integer() const;
  Result<std::int64_t> integer_or(std::int64_t fallback) const;
  Result<bool> boolean_or(bool fallback) const;
  Result<double> bandwidth_bytes_per_s() const;
  Result<Millis> duration_or(Millis fallback) const;
  Result<Bytes> bytes_or(Bytes fallback) const;
  Result<std::vector<YamlNode>> list() const;
  Result<YamlMap> map() const;
  // kInvalidArgument at this node's place: "cluster.yaml:4:7: nodes[1].tier: <message>".
  Error error(std::string_view message) const;

 private:
  std::shared_ptr<const Data> data_;
  std::string path_;
};

class YamlMap {
 public:
  explicit YamlMap(std::shared_ptr<const YamlNode::Data> data, std::string path)
      : data_(std::move(data)), path_(std::move(path)) {}
  YamlNode required(std::string_view key);  // an absent key surfaces as the error of the reader called on it
  YamlNode optional(std::string_view key);
  // Every key with its value in the order of the file, for maps whose keys are the user's own names.
  std::vector<std::pair<std::string, YamlNode>> entries() const;
  // An error for the first key that neither required() nor optional() asked for.
  Status finish() const;

 private:
  std::shared_ptr<const YamlNode::Data> data_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
};

// `name` is what errors call the text, usually the file's name. JSON is YAML, so JSON is accepted.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view name);

}  // namespace tideline
