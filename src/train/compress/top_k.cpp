// The largest numbers of each layer, with error feedback:  t = g + e; send t where |t| is among the largest; there e = 0, else e
// = t. (Aji and Heafield 2017; Stich, Cordonnier, Jaggi, "Sparsified SGD with Memory", NeurIPS 2018.)
//
// Body: positions and a float32 for each (bytes.h).
#include "train/compress/bytes.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

class TopK final : public Compressor {
 public:
  TopK(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kTopK), layers, memory_lengths(layers, settings)), density_(1 - settings.number("sparsity")) {}

 private:
  static std::vector<std::size_t> memory_lengths(const std::vector<Layer>& layers, const CompressorSettings& settings) {
    if (settings.count("feedback") == 0) return {};
    return {numbers_of(layers)};
  }

  Status write(std::span<const float> gradient, const Step&, std::vector<std::byte>& out) override {
    if (memory_.empty()) {
      append_sparse(out, largest(layers(), gradient, density_), gradient);
      return {};
    }
    TIDELINE_TRY(memory_[0], sum_of(gradient, memory_[0]));
    const std::vector<std::uint32_t> positions = largest(layers(), memory_[0], density_);
    append_sparse(out, positions, memory_[0]);
    for (const std::uint32_t position : positions) memory_[0][position] = 0;
    return {};
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    TIDELINE_CHECK_OK(take_sparse(reader, into));
    if (!reader.left().empty()) return corrupt("has something behind its last number");
    return {};
  }

  double density_;
};

}  // namespace

Made make_top_k(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<TopK>(std::move(layers), settings);
}

}  // namespace tideline::compress
