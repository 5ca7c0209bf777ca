#include "report/table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"

namespace tideline::report {
namespace {

// Long enough for every name that a reader accepts.
constexpr std::size_t kCellBytesMax = 4096;

std::string shown(const std::string& text) { return printable(text, kCellBytesMax); }

// Data keeps its letters in any language, and loses what would steer a terminal.
std::string without_controls(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

std::string markdown_cell(const std::string& text) {
  std::string escaped;
  for (const char c : shown(text)) {
    if (c == '|' || c == '\\' || c == '<' || c == '`' || c == '*' || c == '_') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

Table::Cell::Cell(std::string text, double number)
    : shown(std::move(text)), value(std::isfinite(number) ? fmt::format("{:.9g}", number) : std::string()) {}

void Table::add(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  rows_.push_back({std::move(cells), ""});
}

void Table::add_note(std::string note) { rows_.push_back({{}, std::move(note)}); }

std::string Table::text(std::string_view indent) const {
  std::vector<std::size_t> widths;
  bool has_titles = false;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = columns_[c].title.size();
    has_titles = has_titles || width > 0;
    for (const Row& row : rows_)
      if (!row.cells.empty()) width = std::max(width, shown(row.cells[c].shown).size());
    widths.push_back(width);
  }
  std::string all;
  const auto add_line = [&](const auto& cell) {
    std::string line(indent);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      // A mark stands close to what it marks.
      if (c > 0) line += columns_[c - 1].title.empty() && widths[c - 1] == 1 ? " " : "  ";
      line += columns_[c].align == kLeft ? fmt::format("{:<{}}", cell(c), widths[c]) : fmt::format("{:>{}}", cell(c), widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    all += line + "\n";
  };
  if (has_titles) add_line([&](std::size_t c) { return columns_[c].title; });
  for (const Row& row : rows_) {
    if (row.cells.empty())
      all += std::string(indent) + shown(row.note) + "\n";
    else
      add_line([&](std::size_t c) { return shown(row.cells[c].shown); });
  }
  return all;
}

std::string Table::csv() const {
  std::string all;
  for (std::size_t c = 0; c < columns_.size(); ++c) all += (c > 0 ? "," : "") + csv_field(columns_[c].key);
  all += "\n";
  for (const Row& row : rows_) {
    if (row.cells.empty()) continue;
    for (std::size_t c = 0; c < columns_.size(); ++c) all += (c > 0 ? "," : "") + csv_field(without_controls(row.cells[c].value));
    all += "\n";
  }
  return all;
}

std::string Table::markdown() const {
  std::string all = "|";
  for (const Column& column : columns_) all += " " + markdown_cell(column.title.empty() ? column.key : column.title) + " |";
  all += "\n|";
  for (const Column& column : columns_) all += column.align == kLeft ? "---|" : "---:|";
  all += "\n";
  for (const Row& row : rows_) {
    if (row.cells.empty()) continue;
    all += "|";
    for (const Cell& cell : row.cells) all += " " + markdown_cell(cell.shown) + " |";
    all += "\n";
  }
  return all;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace tideline::report
