// The compressors that compress_fuzz tries and write_compress_seeds writes for: the first byte of an input is a place in this
// list.
#pragma once

#include "train/compress/compressor.h"

namespace tideline::compress {

struct Variant {
  const char* name;
  std::vector<KeyValue> keys;
};

inline const std::vector<Variant>& variants() {
  static const std::vector<Variant> all{{"none", {}},
                                        {"fp16", {}},
                                        {"one-bit", {}},
                                        {"terngrad", {}},
                                        {"qsgd", {{"bucket", "16"}, {"levels", "4"}}},
                                        {"esgd", {{"drop", "0.75"}}},
                                        {"dgc", {{"sparsity", "0.9"}}},
                                        {"wangni", {{"density", "0.3"}}},
                                        {"strom", {{"threshold", "0.5"}}},
                                        {"top-k", {{"sparsity", "0.5"}}},
                                        {"low-rank", {{"rank", "2"}}},
                                        {"random-mask", {}},
                                        {"sketch", {}},
                                        {"sketch", {{"bits", "0"}, {"rotate", "0"}}},
                                        {"qsgd", {{"levels", "1000"}}},
                                        {"one-bit", {{"group", "5"}, {"feedback", "0"}}}};
  return all;
}

inline std::unique_ptr<Compressor> make_variant(std::size_t index) {
  const Variant& variant = variants()[index % variants().size()];
  return std::move(*make_compressor(*parse_compressor(variant.name, variant.keys), {{6, 9}, {1, 6}, {4, 5}}));
}

}  // namespace tideline::compress
