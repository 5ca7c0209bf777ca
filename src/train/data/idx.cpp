#include "train/data/idx.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <zlib.h>

#include "base/limits.h"

namespace tideline::train {
namespace {

Error idx_corrupt(std::string_view what) { return Error{ErrorCode::kCorrupt, fmt::format("[data] no IDX file: {}", what)}; }

// Bytes in order, out of a gzip stream or as they lie.
class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes), is_packed_(bytes.starts_with("\x1f\x8b")) {}
  ~Source() {
    if (is_open_) inflateEnd(&stream_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Up to `count` bytes into `to`; how many came. Fewer: the end, or damage.
  std::size_t read(std::byte* to, std::size_t count) {
    if (!is_packed_) {
      const std::size_t take = std::min(count, bytes_.size() - at_);
      if (take > 0) std::memcpy(to, bytes_.data() + at_, take);
      at_ += take;
      return take;
    }
    if (!is_open_) {
      constexpr int kGzip = 16;
      is_open_ = inflateInit2(&stream_, kGzip + MAX_WBITS) == Z_OK;
      if (!is_open_) return 0;
    }
    constexpr std::size_t kPiece = std::size_t{1} << 30;  // zlib counts in 32 bits
    std::size_t done = 0;
    while (done < count && !is_over_) {
      const auto give = static_cast<uInt>(std::min(bytes_.size() - at_, kPiece));
      const auto want = static_cast<uInt>(std::min(count - done, kPiece));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes_.data() + at_));
      stream_.avail_in = give;
      stream_.next_out = reinterpret_cast<Bytef*>(to + done);
      stream_.avail_out = want;
      const int state = inflate(&stream_, Z_NO_FLUSH);
      at_ += give - stream_.avail_in;
      done += want - stream_.avail_out;
      is_ended_ = state == Z_STREAM_END;
      is_over_ = state != Z_OK || (give == 0 && stream_.avail_out == want);
    }
    return done;
  }
  // After everything was read: whether what gzip says of it at the end is there and right, and nothing behind it.
  bool is_whole() const { return at_ == bytes_.size() && (!is_packed_ || is_ended_); }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool is_packed_;
  bool is_open_ = false;
  bool is_over_ = false;
  bool is_ended_ = false;
  z_stream stream_{};
};

}  // namespace

Result<Tensor> parse_idx(std::string_view bytes) {
  Source source(bytes);
  std::byte head[4];
  if (source.read(head, sizeof head) != sizeof head) return idx_corrupt("it ends within its first four bytes");
  if (head[0] != std::byte{0} || head[1] != std::byte{0}) return idx_corrupt("it does not begin with two zero bytes");
  constexpr std::byte kUnsignedBytes{8};
  if (head[2] != kUnsignedBytes)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[data] an IDX file of element type {}; unsigned bytes (8) are read", static_cast<int>(head[2]))};
  const auto rank = static_cast<std::size_t>(head[3]);
  if (rank < 1 || rank > limits::kTensorRankMax) return idx_corrupt(fmt::format("it says {} dimensions", rank));
  Tensor tensor{.spec = {.name = "", .dtype = DType::kUint8, .shape = {}}, .data = {}};
  for (std::size_t i = 0; i < rank; ++i) {
    std::byte size[4];
    if (source.read(size, sizeof size) != sizeof size) return idx_corrupt("it ends within its dimensions");
    std::int64_t value = 0;
    for (const std::byte byte : size) value = value << 8 | static_cast<std::int64_t>(byte);
    tensor.spec.shape.push_back(value);
  }
  TIDELINE_TRY(const Bytes wanted, byte_size(DType::kUint8, tensor.spec.shape));
  // Deflate packs at most 1032 to one: what the file cannot hold is not allocated.
  constexpr std::uint64_t kRatioMax = 1032;
  if (wanted > kRatioMax * bytes.size())
    return idx_corrupt(fmt::format("{} bytes cannot hold the {} it says", bytes.size(), wanted));
  tensor.data = Buffer(wanted);
  const std::size_t got = source.read(tensor.data.data(), wanted);
  if (got != wanted) return idx_corrupt(fmt::format("{} bytes of {} are there", got, wanted));
  std::byte more;
  if (source.read(&more, 1) != 0 || !source.is_whole())
    return idx_corrupt("bytes follow what its dimensions say, or its gzip stream is damaged");
  return tensor;
}

}  // namespace tideline::train
