// Table: rows and columns for people, for spreadsheets and for documents; every table that a command prints is one.
//
// A value. What comes from files and peers may be put in as it is: nothing that is printed can steer a terminal.
//
//   Table table({{"node", "node", Table::kLeft}, {"time", "time_ms"}});
//   table.add({"camera", {format_millis(time), time.count()}});
//   fmt::print("{}", table.text());       // camera   12.3 ms
//   fmt::print("{}", table.csv());        // node,time_ms \n camera,12.3
//   fmt::print("{}", table.markdown());   // | node | time | ...
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tideline::report {

class Table {
 public:
  enum Align { kRight, kLeft };
  struct Column {
    std::string title;  // for people; may be empty
    std::string key;    // of csv, ends in its unit: "time_ms"
    Align align = kRight;
  };
  // What people see, and what a program reads: the same text, or a number in the column's unit.
  struct Cell {
    Cell(std::string text) : shown(text), value(std::move(text)) {}  // NOLINT: implicit, rows are lists of cells
    Cell(std::string_view text) : Cell(std::string(text)) {}         // NOLINT
    Cell(const char* text) : Cell(std::string(text)) {}              // NOLINT
    Cell(std::string text, double number);                           // not finite: empty in csv
    Cell(std::string text, std::string raw) : shown(std::move(text)), value(std::move(raw)) {}
    template <typename Whole>
    requires std::is_integral_v<Whole> Cell(Whole number) : Cell(std::to_string(number)) {}  // NOLINT
    std::string shown;
    std::string value;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // REQUIRES: as many cells as columns, or fewer: the rest is empty.
  void add(std::vector<Cell> cells);
  // A line across the table between its rows; of text() only.
  void add_note(std::string note);

  // In columns, each line behind `indent` and ended; the titles first, unless all are empty.
  std::string text(std::string_view indent = "") const;
  // RFC 4180 with keys as the first line.
  std::string csv() const;
  std::string markdown() const;

 private:
  struct Row {
    std::vector<Cell> cells;
    std::string note;  // set: the row is this line
  };
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// One field of a csv line, quoted where it must be.
std::string csv_field(std::string_view text);

}  // namespace tideline::report
