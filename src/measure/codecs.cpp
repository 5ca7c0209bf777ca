#include "measure/codecs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>

#include "codec/codec.h"
#include "platform/host.h"
#include "tensor/half.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
// Repetitions of coding one cut: enough for a quartile, and no more of what takes long.
constexpr int kRunsMin = 3;
constexpr int kRunsMax = 15;
constexpr Millis kRunsTime{2};
constexpr double kProbabilitySum = 1e-3;

template <class T>
double number_at(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return static_cast<double>(value);
}

double value_at(const Tensor& tensor, std::size_t i) {
  const std::byte* from = tensor.data.data() + i * element_bytes(tensor.spec.dtype);
  switch (tensor.spec.dtype) {
    case DType::kFloat32: return static_cast<double>(number_at<float>(from));
    case DType::kFloat64: return number_at<double>(from);
    case DType::kFloat16:
      return static_cast<double>(float_from_float16(static_cast<std::uint16_t>(number_at<std::uint16_t>(from))));
    case DType::kBfloat16:
      return static_cast<double>(float_from_bfloat16(static_cast<std::uint16_t>(number_at<std::uint16_t>(from))));
    case DType::kInt64: return number_at<std::int64_t>(from);
    case DType::kInt32: return number_at<std::int32_t>(from);
    case DType::kInt16: return number_at<std::int16_t>(from);
    case DType::kInt8: return number_at<std::int8_t>(from);
    case DType::kUint64: return number_at<std::uint64_t>(from);
    case DType::kUint32: return number_at<std::uint32_t>(from);
    case DType::kUint16: return number_at<std::uint16_t>(from);
    default: return number_at<std::uint8_t>(from);
  }
}

bool is_float(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kFloat16 || dtype == DType::kBfloat16;
}

// How long the rows of a classifier-shaped output are; 0 for any other.
std::size_t classes_of(const Tensor& tensor, std::size_t count) {
  const std::vector<std::int64_t>& shape = tensor.spec.shape;
  if (!is_float(tensor.spec.dtype) || shape.empty() || count == 0) return 0;
  const auto is_one = [](std::int64_t dimension) { return dimension == 1; };
  if (shape.size() >= 2 && shape[1] >= 2 && std::all_of(shape.begin() + 2, shape.end(), is_one))
    return static_cast<std::size_t>(shape[1]);
  const auto last = static_cast<std::size_t>(shape.back());
  if (last < 2) return 0;
  for (std::size_t row = 0; row < count; row += last) {
    double sum = 0;
    for (std::size_t k = 0; k < last; ++k) {
      const double value = value_at(tensor, row + k);
      if (!(value >= 0)) return 0;
      sum += value;
    }
    if (!(std::abs(sum - 1) <= kProbabilitySum)) return 0;
  }
  return last;
}

std::size_t largest_of(const Tensor& tensor, std::size_t begin, std::size_t count) {
  std::size_t best = begin;
  for (std::size_t i = begin; i < begin + count; ++i)
    if (value_at(tensor, i) > value_at(tensor, best)) best = i;
  return best;
}

Tensor copy_of(const Tensor& tensor) { return {tensor.spec, Buffer::copy_of(tensor.data.span())}; }

// The tensors of one cut in one codec.
struct Coded {
  Bytes bytes = 0;
  Millis encode{0};
  Millis decode{0};
  std::vector<Tensor> tensors;  // decoded again
};

class Timer {
 public:
  explicit Timer(bool of_processor) : of_processor_(of_processor), start_(now()) {}
  Millis elapsed() const { return Millis(now() - start_); }

 private:
  Nanos now() const { return of_processor_ ? thread_cpu_time() : Nanos(Clock::now().time_since_epoch()); }
  const bool of_processor_;
  const Nanos start_;
};

// The lower quartile of some runs; the first does not count where there is time for others, since its memory is new.
template <class Work>
Result<Millis> time_of(bool of_processor, Work work) {
  std::vector<double> samples;
  Millis spent(0);
  for (int run = 0; run < kRunsMax && (run < kRunsMin || spent < kRunsTime); ++run) {
    const Timer timer(of_processor);
    TIDELINE_CHECK_OK(work());
    const Millis took = timer.elapsed();
    spent += took;
    samples.push_back(took.count());
    if (run == 0 && took > 10 * kRunsTime) break;
  }
  if (samples.size() > 1) samples.erase(samples.begin());
  std::sort(samples.begin(), samples.end());
  return Millis(samples[(samples.size() - 1) / 4]);
}

Result<Coded> code(const Codec& codec, const std::vector<const Tensor*>& tensors, bool of_processor) {
  Coded coded;
  for (const Tensor* tensor : tensors) {
    TIDELINE_TRY(const std::size_t room, encoded_bytes_max(tensor->spec.dtype, tensor->spec.shape));
    TIDELINE_TRY(const std::size_t scratch_size, scratch_bytes(codec, tensor->spec.dtype, tensor->spec.shape));
    Buffer encoded(room);
    Buffer scratch(scratch_size);
    std::size_t bytes = 0;
    TIDELINE_TRY(const Millis encode_time, time_of(of_processor, [&]() -> Status {
                   TIDELINE_TRY(bytes, encode(codec, view(*tensor), encoded.span(), scratch.span()));
                   return {};
                 }));
    const auto form = encoded.span().first(bytes);
    Tensor decoded{tensor->spec, Buffer(tensor->data.size())};
    TIDELINE_TRY(const Millis decode_time, time_of(of_processor, [&]() -> Status {
                   TIDELINE_TRY(const EncodedHead head, read_encoded_head(form));
                   return decode(head, form, decoded.data.span(), scratch.span());
                 }));
    coded.bytes += bytes;
    coded.encode += encode_time;
    coded.decode += decode_time;
    coded.tensors.push_back(std::move(decoded));
  }
  return coded;
}

// The order in which answers are measured: where the least is sent a plan is most likely to cut.
std::vector<std::size_t> by_bytes(const Chain& chain) {
  std::vector<std::size_t> order(chain.cuts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return chain.cuts[a].bytes < chain.cuts[b].bytes; });
  return order;
}

const Tensor* find_tensor(const std::vector<Tensor>& tensors, const std::string& name) {
  for (const Tensor& tensor : tensors)
    if (tensor.spec.name == name) return &tensor;
  return nullptr;
}

bool are_equal(const std::vector<const Tensor*>& some, const std::vector<Tensor>& others) {
  for (std::size_t i = 0; i < some.size(); ++i)
    if (!some[i]->data.empty() && std::memcmp(some[i]->data.data(), others[i].data.data(), others[i].data.size()) != 0)
      return false;
  return true;
}

class Measurement {
 public:
  Measurement(SegmentBench& bench, const Chain& chain, const CodecMeasureOptions& options)
      : bench_(bench), chain_(chain), options_(options) {}

  Result<std::vector<CodecProfile>> run() {
    const std::size_t cuts = chain_.cuts.size();
    for (const std::string& name : options_.codecs) {
      TIDELINE_TRY(const Codec codec, find_codec(name));
      const auto is_same = [&](const CodecProfile& known) { return known.name == name; };
      if (codec.is_raw() || std::any_of(result_.begin(), result_.end(), is_same)) continue;
      codecs_.push_back(codec);
      const std::vector<double> errors(cuts, codec.is_lossy() ? kInfinite : 0);
      result_.push_back(
          {name, std::vector<Bytes>(cuts), std::vector<Millis>(cuts), std::vector<Millis>(cuts), errors, errors, errors, {}});
    }
    if (codecs_.empty()) return std::move(result_);
    for (std::size_t cut = 0; cut < cuts; ++cut) {
      TIDELINE_CHECK_OK(step(0.5 * static_cast<double>(cut) / static_cast<double>(cuts)));
      TIDELINE_TRY(const std::vector<const Tensor*> tensors, bench_.cut_values(cut));
      for (std::size_t k = 0; k < codecs_.size(); ++k) {
        TIDELINE_TRY(const Coded coded, code(codecs_[k], tensors, options_.threads == 1));
        result_[k].bytes[cut] = coded.bytes;
        result_[k].encode[cut] = coded.encode;
        result_[k].decode[cut] = coded.decode;
      }
    }
    TIDELINE_CHECK_OK(measure_answers());
    return std::move(result_);
  }

 private:
  Status step(double done) {
    if (options_.progress) options_.progress(done);
    if (options_.cancel != nullptr && options_.cancel->cancelled())
      return Error{ErrorCode::kCancelled, "[profile] interrupted; nothing was written"};
    return {};
  }

  Status measure_answers() {
    const SteadyTime end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::max(options_.answers_time, Millis(0)));
    std::size_t done = 0;
    for (const std::size_t cut : by_bytes(chain_)) {
      TIDELINE_CHECK_OK(step(0.5 + 0.5 * static_cast<double>(done++) / static_cast<double>(chain_.cuts.size())));
      // The result itself costs no run.
      const bool is_result = cut + 1 == chain_.cuts.size();
      if (options_.answers_time >= Millis(0) && Clock::now() >= end && !is_result) continue;
      TIDELINE_CHECK_OK(measure_answers_of(cut));
    }
    return {};
  }

  Status measure_answers_of(std::size_t cut) {
    TIDELINE_TRY(const std::vector<const Tensor*> tensors, bench_.cut_values(cut));
    std::optional<SegmentBench::Tail> tail;
    std::vector<Tensor> reference;
    if (cut + 1 < chain_.cuts.size()) {
      TIDELINE_TRY(tail, bench_.load_tail(static_cast<std::uint32_t>(cut)));
      std::vector<Tensor> same;
      for (const Tensor* tensor : tensors) same.push_back(copy_of(*tensor));
      TIDELINE_TRY(reference, answer_of(tail, std::move(same)));
    } else {
      for (const Tensor* tensor : tensors) reference.push_back(copy_of(*tensor));
    }
    std::vector<std::optional<AnswerDifference>> by_scheme(4);
    for (std::size_t k = 0; k < codecs_.size(); ++k) {
      if (!codecs_[k].is_lossy()) {
        set_top1(k, cut, {.rows = rows_of(reference), .same_rows = rows_of(reference)});
        continue;
      }
      // A packing changes nothing.
      auto& known = by_scheme[static_cast<std::size_t>(codecs_[k].scheme)];
      if (!known) {
        std::vector<Tensor> coded;
        for (const Tensor* tensor : tensors) {
          TIDELINE_TRY(const Buffer form, encode({codecs_[k].scheme, Packing::kNone}, view(*tensor)));
          TIDELINE_TRY(Tensor decoded, decode(form.span(), tensor->spec.name));
          coded.push_back(std::move(decoded));
        }
        // What was not changed, as the bytes of a picture, needs no run.
        std::vector<Tensor> answer;
        if (!are_equal(tensors, coded)) {
          TIDELINE_TRY(answer, answer_of(tail, std::move(coded)));
        }
        known.emplace();
        for (std::size_t i = 0; i < reference.size(); ++i)
          known->merge(answer_difference(reference[i], answer.empty() ? reference[i] : answer[i]));
      }
      result_[k].max_abs_error[cut] = known->absolute;
      result_[k].max_rel_error[cut] = known->relative;
      result_[k].rms_rel_error[cut] = known->rms();
      set_top1(k, cut, *known);
    }
    return {};
  }

  // The tensors of the last cut: what the blocks behind make of these, and those of these that are results already.
  Result<std::vector<Tensor>> answer_of(std::optional<SegmentBench::Tail>& tail, std::vector<Tensor> inputs) {
    std::vector<Tensor> made;
    if (tail) {
      TIDELINE_TRY(made, tail->run(inputs));
    }
    std::vector<Tensor> answer;
    for (const TensorSpec& wanted : chain_.cuts.back().tensors) {
      const Tensor* found = find_tensor(made, wanted.name);
      if (found == nullptr) found = find_tensor(inputs, wanted.name);
      if (found == nullptr) return Error{ErrorCode::kInternal, "[profile] an output of the model was not made"};
      answer.push_back(copy_of(*found));
    }
    return answer;
  }

  static std::size_t rows_of(const std::vector<Tensor>& answer) {
    AnswerDifference all;
    for (const Tensor& tensor : answer) all.merge(answer_difference(tensor, tensor));
    return all.rows;
  }

  void set_top1(std::size_t k, std::size_t cut, const AnswerDifference& difference) {
    if (difference.rows == 0) return;
    // Where nothing was measured nothing agrees.
    if (result_[k].top1_agreement.empty()) result_[k].top1_agreement.assign(chain_.cuts.size(), codecs_[k].is_lossy() ? 0 : 1);
    result_[k].top1_agreement[cut] = static_cast<double>(difference.same_rows) / static_cast<double>(difference.rows);
  }

  SegmentBench& bench_;
  const Chain& chain_;
  const CodecMeasureOptions& options_;
  std::vector<Codec> codecs_;
  std::vector<CodecProfile> result_;
};

}  // namespace

void AnswerDifference::merge(const AnswerDifference& other) {
  absolute = std::max(absolute, other.absolute);
  relative = std::max(relative, other.relative);
  squares += other.squares;
  reference_squares += other.reference_squares;
  rows += other.rows;
  same_rows += other.same_rows;
}

double AnswerDifference::rms() const {
  if (squares == 0) return 0;
  return reference_squares > 0 ? std::sqrt(squares / reference_squares) : kInfinite;
}

AnswerDifference answer_difference(const Tensor& reference, const Tensor& answer) {
  if (reference.spec.dtype != answer.spec.dtype || reference.spec.shape != answer.spec.shape)
    return {.absolute = kInfinite, .relative = kInfinite, .squares = kInfinite};
  const std::size_t element = element_bytes(reference.spec.dtype);
  const std::size_t count = element == 0 ? 0 : reference.data.size() / element;
  AnswerDifference difference;
  double magnitude = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double a = value_at(reference, i);
    const double b = value_at(answer, i);
    if (std::isfinite(a)) {
      magnitude = std::max(magnitude, std::abs(a));
      difference.reference_squares += a * a;
    }
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double apart = std::isfinite(a) && std::isfinite(b) ? std::abs(a - b) : kInfinite;
    difference.absolute = std::max(difference.absolute, apart);
    difference.squares += apart * apart;
  }
  if (difference.absolute > 0) difference.relative = magnitude > 0 ? difference.absolute / magnitude : kInfinite;
  const std::size_t classes = classes_of(reference, count);
  for (std::size_t row = 0; classes > 0 && row < count; row += classes) {
    ++difference.rows;
    if (largest_of(reference, row, classes) == largest_of(answer, row, classes)) ++difference.same_rows;
  }
  return difference;
}

Result<std::vector<CodecProfile>> measure_codecs(SegmentBench& bench, const Chain& chain, const CodecMeasureOptions& options) {
  return Measurement(bench, chain, options).run();
}

}  // namespace tideline
