// Any text as output steps, and any numbers as what they read: refused, or what was said in advance.
//
// The input is a line of JSON, then a line of shapes (digits, commas, one tensor behind each semicolon), then bytes that are
// repeated until the tensors are full.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "output/output_steps.h"

using namespace tideline;

namespace {

constexpr std::size_t kTensorsMax = 4;
constexpr std::int64_t kDimMax = 64;
constexpr Bytes kBytesMax = 1 << 18;

std::vector<TensorSpec> read_shapes(std::string_view text) {
  std::vector<TensorSpec> specs(1);
  specs.back().dtype = text.starts_with('h') ? DType::kFloat16 : DType::kFloat32;
  std::int64_t number = -1;
  const auto take = [&] {
    if (number >= 0 && specs.back().shape.size() < 5) specs.back().shape.push_back(number);
    number = -1;
  };
  for (const char c : text) {
    if (c >= '0' && c <= '9')
      number = std::min<std::int64_t>(kDimMax, std::max<std::int64_t>(0, number) * 10 + (c - '0'));
    else
      take();
    if (c == ';' && specs.size() < kTensorsMax) specs.push_back({"", specs.back().dtype, {}});
  }
  take();
  return specs;
}

void check(const OutputStep& step, const std::vector<TensorSpec>& in, const std::vector<Tensor>& made) {
  const auto told = output_step_specs(step, in, OpenSizes::kUnknown);
  const auto most = output_step_specs(step, in, OpenSizes::kLargest);
  if (!told || !most || told->size() != made.size()) std::abort();
  for (std::size_t i = 0; i < made.size(); ++i) {
    const TensorSpec& spec = made[i].spec;
    const auto bytes = byte_size(spec.dtype, spec.shape);
    if (!bytes || *bytes != made[i].data.size()) std::abort();
    if (spec.dtype != (*told)[i].dtype || spec.shape.size() != (*told)[i].shape.size()) std::abort();
    for (std::size_t d = 0; d < spec.shape.size(); ++d)
      if (((*told)[i].shape[d] != kUnknownDim && (*told)[i].shape[d] != spec.shape[d]) || spec.shape[d] > (*most)[i].shape[d])
        std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = [&] {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view found = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    return found;
  };
  const auto steps = parse_output_steps(line());
  if (!steps) return 0;
  const auto again = parse_output_steps(write_output_steps(*steps));
  if (!again || *again != *steps) std::abort();
  std::vector<TensorSpec> specs = read_shapes(line());
  std::vector<Tensor> tensors;
  for (const TensorSpec& spec : specs) {
    const auto bytes = byte_size(spec.dtype, spec.shape);
    if (!bytes || *bytes > kBytesMax) return 0;
    Tensor tensor{spec, Buffer(*bytes)};
    for (std::size_t i = 0; i < *bytes; ++i)
      tensor.data.data()[i] = text.empty() ? std::byte{0x3f} : static_cast<std::byte>(text[i % text.size()]);
    tensors.push_back(std::move(tensor));
  }
  for (const OutputStep& step : *steps) {
    // Priors are a matter of the step's numbers alone: many of them are slow, and tested elsewhere.
    if (step.k > 4096 || step.priors.size() > 4) return 0;
    std::vector<TensorView> views;
    for (const Tensor& tensor : tensors) views.push_back(view(tensor));
    auto made = run_output_step(step, views);
    if (!made) return 0;
    std::vector<TensorSpec> in;
    for (const Tensor& tensor : tensors) in.push_back(tensor.spec);
    check(step, in, *made);
    tensors = std::move(*made);
  }
  return 0;
}
