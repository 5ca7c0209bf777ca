#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "image/image.h"

namespace tideline {

namespace {

// Weights are integers that sum to exactly kOne, so a flat picture stays flat. 255 * kOne fits an int32 with room for rounding.
constexpr int kWeightBits = 22;
constexpr std::int32_t kOne = 1 << kWeightBits;
static_assert(255LL * kOne + kOne / 2 <= 0x7fffffffLL);

// For each new position along one axis, the old positions it is made of.
struct Axis {
  struct Span {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::size_t weights = 0;  // index into Axis::weights
  };
  std::vector<Span> spans;
  std::vector<std::int32_t> weights;
};

// New position i covers the old axis around from + (i + 0.5) * scale with a triangle of half-width max(scale, 1).
Axis make_axis(std::uint32_t old_size, std::uint32_t new_size, double from, double scale) {
  Axis axis;
  axis.spans.reserve(new_size);
  const double half_width = std::max(scale, 1.0);
  std::vector<double> raw;
  for (std::uint32_t i = 0; i < new_size; ++i) {
    const double centre = from + (i + 0.5) * scale;
    const auto first = static_cast<std::int64_t>(std::max(0.0, std::floor(centre - half_width + 0.5)));
    const auto end = static_cast<std::int64_t>(std::min<double>(old_size, std::floor(centre + half_width + 0.5)));
    raw.clear();
    double sum = 0;
    for (std::int64_t k = first; k < end; ++k) {
      raw.push_back(std::max(0.0, 1.0 - std::abs((static_cast<double>(k) + 0.5 - centre) / half_width)));
      sum += raw.back();
    }
    Axis::Span span{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(raw.size()), axis.weights.size()};
    std::int32_t rest = kOne;
    std::size_t largest = 0;
    for (std::size_t k = 0; k < raw.size(); ++k) {
      axis.weights.push_back(static_cast<std::int32_t>(std::lround(raw[k] / sum * kOne)));
      rest -= axis.weights.back();
      if (raw[k] > raw[largest]) largest = k;
    }
    axis.weights[span.weights + largest] += rest;
    axis.spans.push_back(span);
  }
  return axis;
}

std::uint8_t rounded(std::int32_t sum) { return static_cast<std::uint8_t>((sum + kOne / 2) >> kWeightBits); }

template <std::uint32_t kChannels>
void resize_row(const std::uint8_t* row, const Axis& axis, std::uint8_t* out) {
  for (const Axis::Span& span : axis.spans) {
    std::int32_t sums[kChannels] = {};
    const std::uint8_t* at = row + std::size_t{span.first} * kChannels;
    for (std::uint32_t k = 0; k < span.count; ++k)
      for (std::uint32_t c = 0; c < kChannels; ++c) sums[c] += axis.weights[span.weights + k] * *at++;
    for (std::uint32_t c = 0; c < kChannels; ++c) *out++ = rounded(sums[c]);
  }
}

}  // namespace

Result<Image> resize_image(const ImageView& image, std::uint32_t width, std::uint32_t height, Fit fit) {
  const auto is_sane = [](std::uint64_t w, std::uint64_t h) { return w > 0 && h > 0 && w <= limits::kImagePixelsMax / h; };
  if (!is_sane(image.width, image.height) || !is_sane(width, height) || (image.channels != 1 && image.channels != 3))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[image] cannot resize {}x{} pixels of {} channels to {}x{} (at most {} pixels, 1 or 3 channels)",
                             image.width, image.height, image.channels, width, height, limits::kImagePixelsMax)};
  double scale_x = static_cast<double>(image.width) / width;
  double scale_y = static_cast<double>(image.height) / height;
  if (fit == Fit::kCrop) scale_x = scale_y = std::min(scale_x, scale_y);
  const Axis columns = make_axis(image.width, width, (image.width - width * scale_x) / 2, scale_x);
  const Axis rows = make_axis(image.height, height, (image.height - height * scale_y) / 2, scale_y);

  // Rows first made narrow, only those that are needed; then combined.
  const std::uint32_t top = rows.spans.front().first;
  const std::uint32_t bottom = rows.spans.back().first + rows.spans.back().count;
  const std::size_t row_bytes = std::size_t{width} * image.channels;
  if (!is_sane(width, bottom - top))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[image] {}x{} pixels are too unlike {}x{} to be resized", image.width,
                                                          image.height, width, height)};
  Buffer narrow(row_bytes * (bottom - top));
  auto* narrow_pixels = reinterpret_cast<std::uint8_t*>(narrow.data());
  for (std::uint32_t y = top; y < bottom; ++y) {
    const std::uint8_t* row = image.pixels + std::size_t{y} * image.width * image.channels;
    std::uint8_t* out = narrow_pixels + row_bytes * (y - top);
    if (image.channels == 1)
      resize_row<1>(row, columns, out);
    else
      resize_row<3>(row, columns, out);
  }

  Image made{width, height, image.channels, Buffer(row_bytes * height)};
  auto* out = reinterpret_cast<std::uint8_t*>(made.pixels.data());
  std::vector<std::int32_t> sums(row_bytes);
  for (const Axis::Span& span : rows.spans) {
    std::fill(sums.begin(), sums.end(), 0);
    for (std::uint32_t k = 0; k < span.count; ++k) {
      const std::int32_t weight = rows.weights[span.weights + k];
      const std::uint8_t* row = narrow_pixels + row_bytes * (span.first + k - top);
      for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += weight * row[i];
    }
    for (std::size_t i = 0; i < row_bytes; ++i) *out++ = rounded(sums[i]);
  }
  return made;
}

}  // namespace tideline
