#include "train/exchange/update_codec.h"

#include <cstring>

#include <fmt/format.h>

namespace tideline::train {

Result<std::vector<std::byte>> UpdateCodec::encode(std::span<const float> update, const Moment& moment) {
  if (update.size() < buffers_)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] {} numbers are no update with {} buffers", update.size(), buffers_)};
  const std::size_t parameters = update.size() - buffers_;
  TIDELINE_TRY(std::vector<std::byte> bytes,
               compressor_->encode(update.first(parameters),
                                   {.step = moment.round, .seed = seed_, .loss = static_cast<float>(moment.loss), .scales = {}}));
  const auto buffers = std::as_bytes(update.subspan(parameters));
  bytes.insert(bytes.end(), buffers.begin(), buffers.end());
  return bytes;
}

Status UpdateCodec::decode(std::span<const std::byte> bytes, std::span<float> into) const {
  const std::size_t buffer_bytes = buffers_ * sizeof(float);
  if (bytes.size() < buffer_bytes || into.size() != compressor_->numbers() + buffers_)
    return Error{ErrorCode::kCorrupt, fmt::format("[train] {} bytes are no update of {} numbers", bytes.size(), into.size())};
  const std::size_t parameters = into.size() - buffers_;
  TIDELINE_CHECK_OK(compressor_->decode(bytes.first(bytes.size() - buffer_bytes), into.first(parameters)));
  if (buffers_ > 0) std::memcpy(into.data() + parameters, bytes.data() + bytes.size() - buffer_bytes, buffer_bytes);
  return {};
}

std::uint64_t UpdateCodec::bytes_max() const {
  // A number takes most where each has a norm of its own and its level in a long code; a layer has a few numbers in front.
  constexpr std::uint64_t kPerNumber = 24, kHeads = 65'536;
  return kPerNumber * compressor_->numbers() + sizeof(float) * buffers_ + kHeads;
}

void UpdateCodec::confine(std::uint64_t round, std::span<const float> start, std::span<float> parameters) const {
  if (!compressor_->is_structured()) return;
  std::vector<float> moved(parameters.size());
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = parameters[i] - start[i];
  compressor_->confine(moved, {.step = round, .seed = seed_, .loss = {}, .scales = {}});
  for (std::size_t i = 0; i < moved.size(); ++i) parameters[i] = start[i] + moved[i];
}

Result<std::unique_ptr<UpdateCodec>> make_update_codec(const compress::CompressorSettings& settings, const ModelSize& size,
                                                       std::uint64_t seed) {
  std::vector<compress::Layer> layers = size.layers;
  if (layers.empty()) layers.push_back({.rows = 1, .columns = size.parameters});
  TIDELINE_TRY(auto compressor, compress::make_compressor(settings, std::move(layers)));
  if (compressor->numbers() != size.parameters)
    return Error{ErrorCode::kInternal, fmt::format("[train] layers of {} numbers are not those of a model of {} parameters",
                                                   compressor->numbers(), size.parameters)};
  return std::make_unique<UpdateCodec>(std::move(compressor), size.buffers, seed);
}

}  // namespace tideline::train
