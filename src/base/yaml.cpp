#include "base/yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <sstream>
#include <unordered_set>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline {

// One node of the document, already free of anchors, aliases and duplicates.
struct YamlNode::Data {
  enum class Kind { kMissing, kNull, kScalar, kList, kMap };
  Kind kind = Kind::kMissing;
  bool quoted = false;
  std::string scalar;
  std::vector<std::shared_ptr<const Data>> items;
  std::vector<std::pair<std::string, std::shared_ptr<const Data>>> entries;
  std::string file;
  int line = 0;
  int column = 0;
};

namespace {

using Data = YamlNode::Data;
using Kind = Data::Kind;

struct YamlError : std::exception {
  explicit YamlError(std::string text) : message(std::move(text)) {}
  std::string message;
};

// Builds the tree from parser events, so that depth and duplicates are checked while reading.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::string file) : file_(std::move(file)) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root) fail(mark, "a second document begins; a file holds one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(make(mark, Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { fail(mark, "aliases (*name) are not accepted"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    refuse_anchor(mark, anchor);
    // yaml-cpp gives "?" to plain scalars and "!" to quoted ones; anything else was written by the user.
    if (tag != "?" && tag != "!" && !tag.empty()) fail(mark, "tags (!name) are not accepted");
    if (!open_.empty() && open_.back()->kind == Kind::kMap && keys_.back().empty() && !key_given_.back()) {
      if (!seen_.back().insert(value).second) fail(mark, fmt::format("the key '{}' appears twice", printable(value)));
      keys_.back() = value;
      key_given_.back() = true;
      return;
    }
    auto node = make(mark, Kind::kScalar);
    node->scalar = value;
    node->quoted = tag == "!";
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, Kind::kMap);
  }
  void OnMapEnd() override { close(); }

  std::shared_ptr<Data> root;

 private:
  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& message) const {
    throw YamlError(fmt::format("{}:{}:{}: {}", file_, mark.line + 1, mark.column + 1, message));
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0) fail(mark, "anchors (&name) are not accepted");
  }
  std::shared_ptr<Data> make(const YAML::Mark& mark, Kind kind) const {
    auto node = std::make_shared<Data>();
    node->kind = kind;
    node->file = file_;
    node->line = mark.line + 1;
    node->column = mark.column + 1;
    return node;
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind) {
    refuse_anchor(mark, anchor);
    if (static_cast<int>(open_.size()) >= limits::kConfigDepthMax)
      fail(mark, fmt::format("nested deeper than {} levels", limits::kConfigDepthMax));
    if (!open_.empty() && open_.back()->kind == Kind::kMap && !key_given_.back()) fail(mark, "a key must be plain text");
    auto node = make(mark, kind);
    add(node);
    open_.push_back(node);
    keys_.emplace_back();
    key_given_.push_back(false);
    seen_.emplace_back();
  }
  void close() {
    open_.pop_back();
    keys_.pop_back();
    key_given_.pop_back();
    seen_.pop_back();
  }
  void add(std::shared_ptr<Data> node) {
    if (open_.empty()) {
      root = std::move(node);
    } else if (open_.back()->kind == Kind::kList) {
      open_.back()->items.push_back(std::move(node));
    } else {
      if (!key_given_.back()) throw YamlError(fmt::format("{}:{}:{}: a key must be plain text", file_, node->line, node->column));
      open_.back()->entries.emplace_back(std::move(keys_.back()), std::move(node));
      keys_.back().clear();
      key_given_.back() = false;
    }
  }

  std::string file_;
  std::vector<std::shared_ptr<Data>> open_;
  std::vector<std::string> keys_;
  std::vector<bool> key_given_;
  std::vector<std::unordered_set<std::string>> seen_;
};

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kMissing: return "nothing";
    case Kind::kNull: return "an empty value";
    case Kind::kScalar: return "a single value";
    case Kind::kList: return "a list";
    case Kind::kMap: return "a map of keys";
  }
  return "something else";
}

// A placeholder for an absent required key, which knows where the surrounding map is.
std::shared_ptr<const Data> missing_in(const Data& map) {
  auto node = std::make_shared<Data>();
  node->file = map.file;
  node->line = map.line;
  node->column = map.column;
  return node;
}

}  // namespace

Error YamlNode::error(std::string_view message) const {
  if (!data_) return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}", path_, message)};
  return Error{ErrorCode::kInvalidArgument, fmt::format("{}:{}:{}: {}{}{}", data_->file, data_->line, data_->column, path_,
                                                        path_.empty() ? "" : ": ", message)};
}

namespace {

Error wrong_kind(const YamlNode& node, const std::shared_ptr<const Data>& data, std::string_view expected) {
  if (!data || data->kind == Kind::kMissing) return node.error(fmt::format("this key is required (expected {})", expected));
  if (data->kind == Kind::kScalar) return node.error(fmt::format("expected {}, found '{}'", expected, printable(data->scalar)));
  return node.error(fmt::format("expected {}, found {}", expected, kind_name(data->kind)));
}

}  // namespace

Result<std::string> YamlNode::text() const {
  if (!data_ || data_->kind != Kind::kScalar) return wrong_kind(*this, data_, "text");
  return data_->scalar;
}

Result<std::string> YamlNode::text_or(std::string fallback) const {
  if (!present()) return fallback;
  return text();
}

Result<double> YamlNode::number() const {
  double value = 0;
  if (data_ && data_->kind == Kind::kScalar && !data_->quoted) {
    const std::string& text = data_->scalar;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status == std::errc() && end == text.data() + text.size() && std::isfinite(value)) return value;
  }
  return wrong_kind(*this, data_, "a finite number");
}

Result<double> YamlNode::number_or(double fallback) const {
  if (!present()) return fallback;
  return number();
}

Result<std::int64_t> YamlNode::integer() const {
  std::int64_t value = 0;
  if (data_ && data_->kind == Kind::kScalar && !data_->quoted) {
    const std::string& text = data_->scalar;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status == std::errc() && end == text.data() + text.size()) return value;
  }
  return wrong_kind(*this, data_, "a whole number");
}

Result<std::int64_t> YamlNode::integer_or(std::int64_t fallback) const {
  if (!present()) return fallback;
  return integer();
}

Result<bool> YamlNode::boolean_or(bool fallback) const {
  if (!present()) return fallback;
  if (data_->kind == Kind::kScalar && data_->scalar == "true") return true;
  if (data_->kind == Kind::kScalar && data_->scalar == "false") return false;
  return wrong_kind(*this, data_, "true or false");
}

Result<double> YamlNode::bandwidth_bytes_per_s() const {
  TIDELINE_TRY(const std::string value, text());
  auto parsed = parse_bandwidth_bytes_per_s(value);
  if (!parsed) return error(parsed.error().message);
  if (*parsed <= 0) return error("a bandwidth must be above 0");
  return *parsed;
}

Result<Millis> YamlNode::duration_or(Millis fallback) const {
  if (!present()) return fallback;
  TIDELINE_TRY(const std::string value, text());
  auto parsed = parse_duration(value);
  if (!parsed) return error(parsed.error().message);
  return *parsed;
}

Result<Bytes> YamlNode::bytes_or(Bytes fallback) const {
  if (!present()) return fallback;
  TIDELINE_TRY(const std::string value, text());
  auto parsed = parse_bytes(value);
  if (!parsed) return error(parsed.error().message);
  return *parsed;
}

Result<std::vector<YamlNode>> YamlNode::list() const {
  if (!data_ || data_->kind != Kind::kList) return wrong_kind(*this, data_, "a list");
  std::vector<YamlNode> nodes;
  for (std::size_t i = 0; i < data_->items.size(); ++i) nodes.emplace_back(data_->items[i], fmt::format("{}[{}]", path_, i));
  return nodes;
}

Result<YamlMap> YamlNode::map() const {
  if (!data_ || data_->kind != Kind::kMap) return wrong_kind(*this, data_, "a map of keys");
  return YamlMap(data_, path_);
}

YamlNode YamlMap::optional(std::string_view key) {
  known_.emplace(key);
  const std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  for (const auto& [name, node] : data_->entries)
    if (name == key) return YamlNode(node, path);
  return YamlNode(nullptr, path);
}

YamlNode YamlMap::required(std::string_view key) {
  YamlNode node = optional(key);
  if (node.present()) return node;
  return YamlNode(missing_in(*data_), path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key));
}

std::vector<std::pair<std::string, YamlNode>> YamlMap::entries() const {
  std::vector<std::pair<std::string, YamlNode>> all;
  for (const auto& [key, node] : data_->entries)
    all.emplace_back(key, YamlNode(node, path_.empty() ? key : fmt::format("{}.{}", path_, key)));
  return all;
}

Status YamlMap::finish() const {
  for (const auto& [name, node] : data_->entries) {
    if (known_.contains(name)) continue;
    const std::vector<std::string_view> candidates(known_.begin(), known_.end());
    const std::string_view near = nearest(name, candidates);
    const YamlNode at(node, path_);
    return at.error(near.empty() ? fmt::format("unknown key '{}'", printable(name))
                                 : fmt::format("unknown key '{}'; did you mean '{}'?", printable(name), near));
  }
  return {};
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view name) {
  const std::string file(name);
  if (text.size() > limits::kYamlFileBytesMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: larger than {}", file, format_bytes(limits::kYamlFileBytesMax))};
  // yaml-cpp's parser recurses for each open bracket; a cheap bound on nesting keeps it off the end of the stack.
  if (std::count(text.begin(), text.end(), '[') + std::count(text.begin(), text.end(), '{') > 20'000)
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: too many brackets", file)};
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > 4 * limits::kConfigDepthMax)
      return Error{ErrorCode::kInvalidArgument, fmt::format("{}: nested too deeply", file)};
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder(file);
    if (!parser.HandleNextDocument(builder) || !builder.root)
      return Error{ErrorCode::kInvalidArgument, fmt::format("{}: the file is empty", file)};
    (void)parser.HandleNextDocument(builder);  // says where a second document begins
    return YamlNode(builder.root, "");
  } catch (const YamlError& error) {
    return Error{ErrorCode::kInvalidArgument, error.message};
  } catch (const YAML::Exception& error) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}:{}:{}: {}", file, error.mark.line + 1, error.mark.column + 1, error.msg)};
  } catch (const std::exception& error) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: {}", file, error.what())};
  }
}

}  // namespace tideline
