// Goal: one table, three ways to print it, and nothing in a cell that steers a terminal or breaks a row.
#include <cmath>

#include <gtest/gtest.h>

#include "report/table.h"

namespace tideline::report {
namespace {

Table sample() {
  Table table({{"node", "node", Table::kLeft}, {"time", "time_ms"}, {"note", "note", Table::kLeft}});
  table.add({"camera", {"12.3 ms", 12.34567}, "a, \"b\""});
  table.add_note("passes on");
  table.add({"gate|way", {"?", std::nan("")}});
  return table;
}

TEST(TableTest, ForPeople) {
  EXPECT_EQ(sample().text("  "),
            "  node         time  note\n"
            "  camera    12.3 ms  a, \"b\"\n"
            "  passes on\n"
            "  gate|way        ?\n");
}

TEST(TableTest, ForSpreadsheets) {
  EXPECT_EQ(sample().csv(),
            "node,time_ms,note\n"
            "camera,12.34567,\"a, \"\"b\"\"\"\n"
            "gate|way,,\n");
}

TEST(TableTest, ForDocuments) {
  EXPECT_EQ(sample().markdown(),
            "| node | time | note |\n"
            "|---|---:|---|\n"
            "| camera | 12.3 ms | a, \"b\" |\n"
            "| gate\\|way | ? |  |\n");
}

TEST(TableTest, ControlCharactersStayHere) {
  Table table({{"name", "name", Table::kLeft}, {"n", "n"}});
  table.add({std::string("\x1b[31mred\a\nnext"), 7});
  for (const std::string& text : {table.text(), table.csv(), table.markdown()}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\a'), std::string::npos);
    EXPECT_NE(text.find("red"), std::string::npos);
  }
  EXPECT_EQ(table.csv(), "name,n\n?[31mred??next,7\n");
}

TEST(TableTest, WithoutTitlesThereIsNoHead) {
  Table table({{"", "a"}, {"", "b"}});
  table.add({"1", "2"});
  EXPECT_EQ(table.text(), "1 2\n");
  table.add({"10", "3"});
  EXPECT_EQ(table.text(), " 1  2\n10  3\n");
}

}  // namespace
}  // namespace tideline::report
