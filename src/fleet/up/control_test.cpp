// Goal: a coordinator takes the requests that there are and nothing else. Method: each comes back as it was written; each wrong
// line is an error that names what is wrong; a fuzz target (fuzz/control_fuzz.cpp) tries all others.
#include "fleet/up/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace tideline::fleet {
namespace {

using testing::HasSubstr;

TEST(Control, EveryRequestComesBackAsItWasWritten) {
  for (const ControlRequest& request :
       {ControlRequest{.command = ControlCommand::kStatus}, ControlRequest{.command = ControlCommand::kDown},
        ControlRequest{.command = ControlCommand::kRemove, .name = "door-1"},
        ControlRequest{
            .command = ControlCommand::kSubmit, .task = R"({"name":"door","rate":"5/s"})", .moves = 2, .evictions = 1}}) {
    const std::string line = write_control(request);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto back = parse_control(line);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, request);
  }
}

TEST(Control, WrongLinesSayWhatIsWrong) {
  const auto refusal = [](const std::string& line) {
    const auto request = parse_control(line);
    if (request) return std::string("accepted");
    EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument) << line;
    return request.error().message;
  };
  EXPECT_THAT(refusal(""), HasSubstr("the request"));
  EXPECT_THAT(refusal("[]"), HasSubstr("JSON object"));
  EXPECT_THAT(refusal("{}"), HasSubstr("command"));
  EXPECT_THAT(refusal(R"({"command":"stop"})"), HasSubstr("status, submit, remove, down"));
  EXPECT_THAT(refusal(R"({"command":"status","name":"x"})"), HasSubstr("name"));
  EXPECT_THAT(refusal(R"({"command":"remove"})"), HasSubstr("name"));
  EXPECT_THAT(refusal(R"({"command":"remove","name":"a b"})"), HasSubstr("a name is"));
  EXPECT_THAT(refusal(R"({"command":"submit"})"), HasSubstr("task"));
  EXPECT_THAT(refusal(R"({"command":"submit","task":"door"})"), HasSubstr("task"));
  EXPECT_THAT(refusal(R"({"command":"submit","task":{},"moves":-1})"), HasSubstr("moves"));
  EXPECT_THAT(refusal(R"({"command":"submit","task":{},"evictions":99})"), HasSubstr("evictions"));
  EXPECT_THAT(refusal(R"({"command":"down","command":"down"})"), HasSubstr("command"));
  EXPECT_THAT(refusal(std::string(limits::kControlLineBytesMax + 1, ' ')), HasSubstr("at most 65536"));
}

TEST(Control, AnswersCarryResultsAndErrors) {
  const auto result = parse_answer(write_answer(std::string(R"({"up_s":3})")));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, R"({"up_s":3})");
  const auto error = parse_answer(write_answer(Error{ErrorCode::kInfeasible, "no \"room\"\nat all"}));
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, ErrorCode::kInfeasible);
  EXPECT_EQ(error.error().message, "no \"room\"\nat all");
  for (const char* wrong : {"", "{}", "[1]", R"({"ok":1})", R"({"ok":true})", R"({"ok":false,"code":99,"message":"x"})",
                            R"({"ok":false,"code":"x","message":"x"})", R"({"ok":false,"code":1})"})
    EXPECT_EQ(parse_answer(wrong).error().code, ErrorCode::kCorrupt) << wrong;
}

}  // namespace
}  // namespace tideline::fleet
