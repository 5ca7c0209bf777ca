// DataSet: samples with labels, as they are stored; batches of them as a model takes them.
//
// A value that moves. Pictures stay bytes until a batch is made: a quarter of the memory.
//
//   TIDELINE_TRY(const DataSet data, read_data("idx:fashion-mnist/train"));
//   TIDELINE_TRY(const Tensor x, make_batch(data, rows, {.shape = {1, 32, 32}, .mean = 0.286f, .std = 0.353f}));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "input/input_section.h"
#include "tensor/tensor.h"

namespace tideline::train {

struct DataSet {
  Tensor samples;                    // uint8 (pictures, 0 black and 255 white) or float32; the first dimension counts samples
  std::vector<std::int32_t> labels;  // 0 or more
  std::size_t size() const { return labels.size(); }
};

// "idx:PREFIX": PREFIX-images-idx3-ubyte and PREFIX-labels-idx1-ubyte, each with or without ".gz".
// "npy:FOLDER": x.npy (uint8 or float32) and y.npy (any integer type).
// "images:FOLDER": a folder of JPEG and PNG files for each class, classes in the order of their names; `section` makes float32
// samples of them, step by step as when the model serves.
// kInvalidArgument when the words are none of these, counts differ, pictures come out in different sizes, there is no sample, or
// a label is negative; as the readers otherwise.
Result<DataSet> read_data(const std::string& where, const InputSection* section = nullptr);

// How samples become a model's input.
struct SampleForm {
  std::vector<std::int64_t> shape;  // of one sample at the model: {1, 32, 32}
  // Of bytes only, which become (byte / 255 - mean) / std; float32 samples are taken as they are.
  float mean = 0;
  float std = 1;
};

// float32, `rows` samples in that order. Byte pictures {H, W} or {1, H, W} that are smaller than the form's {1, H', W'} lie in
// its middle, with black around them. kInvalidArgument when samples cannot be brought into the form, naming both shapes.
// REQUIRES: rows below data.size().
Result<Tensor> make_batch(const DataSet& data, std::span<const std::uint32_t> rows, const SampleForm& form);

}  // namespace tideline::train
