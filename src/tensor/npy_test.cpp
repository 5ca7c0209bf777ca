// .npy: against bytes that NumPy wrote, there and back, and against files that lie.
#include "tensor/npy.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tideline {
namespace {

std::string npy(const std::string& dictionary, const std::string& data, char major = 1) {
  std::string out("\x93NUMPY");
  out += major;
  out += '\0';
  const std::string header = dictionary + "\n";
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  if (major > 1) out += std::string(2, '\0');
  return out + header + data;
}

ErrorCode code_of(const std::string& file) {
  const auto tensor = parse_npy(file, "x");
  return tensor ? ErrorCode::kInternal : tensor.error().code;
}

// numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], dtype=int16): the layout and padding of NumPy 1.24.
TEST(Npy, ReadsWhatNumpyWrites) {
  std::string file("\x93NUMPY\x01\x00\x76\x00", 10);
  std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }";
  header.append(0x76 - 1 - header.size(), ' ');
  file += header + "\n" + std::string("\1\0\2\0\3\0\4\0\5\0\6\0", 12);
  const auto tensor = parse_npy(file, "x");
  ASSERT_TRUE(tensor) << tensor.error().message;
  EXPECT_EQ(tensor->spec, (TensorSpec{"x", DType::kInt16, {2, 3}}));
  EXPECT_EQ(std::memcmp(tensor->data.data(), "\1\0\2\0\3\0\4\0\5\0\6\0", 12), 0);
  const auto again = write_npy(view(*tensor));
  ASSERT_TRUE(again);
  EXPECT_EQ(parse_npy(*again, "x")->spec, tensor->spec);
}

TEST(Npy, EveryTypeAndRankSurvives) {
  for (const DType dtype :
       {DType::kFloat32, DType::kUint8, DType::kInt8, DType::kUint16, DType::kInt16, DType::kInt32, DType::kInt64, DType::kBool,
        DType::kFloat16, DType::kFloat64, DType::kUint32, DType::kUint64, DType::kComplex64, DType::kComplex128})
    for (const std::vector<std::int64_t>& shape :
         std::vector<std::vector<std::int64_t>>{{}, {5}, {0, 3}, {2, 1, 4}, {1, 2, 1, 2, 1, 2, 1, 2}}) {
      Tensor tensor;
      tensor.spec = {"x", dtype, shape};
      tensor.data = Buffer(*byte_size(dtype, shape));
      for (std::size_t i = 0; i < tensor.data.size(); ++i) tensor.data.data()[i] = static_cast<std::byte>(i * 31);
      const auto file = write_npy(view(tensor));
      ASSERT_TRUE(file) << file.error().message;
      EXPECT_EQ((file->size() - tensor.data.size()) % 64, 0u);
      const auto back = parse_npy(*file, "x");
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->spec, tensor.spec);
      ASSERT_EQ(back->data.size(), tensor.data.size());
      if (!tensor.data.empty()) {
        EXPECT_EQ(std::memcmp(back->data.data(), tensor.data.data(), tensor.data.size()), 0);
      }
    }
}

TEST(Npy, VersionsTwoAndThreeHaveALongerLength) {
  const std::string dictionary = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";
  for (const char major : {'\2', '\3'}) EXPECT_TRUE(parse_npy(npy(dictionary, "ab", major), "x"));
  EXPECT_EQ(code_of(npy(dictionary, "ab", 4)), ErrorCode::kUnsupported);
}

TEST(Npy, WhatIsNotSupportedSaysWhatToDo) {
  const auto message = [](const std::string& descr, const std::string& order, const std::string& data) {
    const auto tensor = parse_npy(npy("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': (1, 2)}", data), "x");
    if (tensor) return std::string();
    EXPECT_EQ(tensor.error().code, ErrorCode::kUnsupported);
    return tensor.error().message;
  };
  EXPECT_NE(message("'>f4'", "False", "12345678").find("newbyteorder"), std::string::npos);
  EXPECT_NE(message("'<f4'", "True", "12345678").find("ascontiguousarray"), std::string::npos);
  EXPECT_NE(message("'|O'", "False", "12345678").find("numbers"), std::string::npos);
  EXPECT_NE(message("'<U4'", "False", "12345678").find("numbers"), std::string::npos);
  EXPECT_NE(message("[('a', '<f4')]", "False", "12345678").find("plain array"), std::string::npos);
  const TensorSpec bfloat{"x", DType::kBfloat16, {0}};
  EXPECT_FALSE(write_npy({&bfloat, {}}));
}

TEST(Npy, HostileFilesAreRefused) {
  const auto with_shape = [](const std::string& shape, const std::string& data) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}", data);
  };
  EXPECT_TRUE(parse_npy(with_shape("(2,)", "12345678"), "x"));
  EXPECT_EQ(code_of(with_shape("(2,)", "1234567")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("(2,)", "123456789")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("(-1,)", "")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("(4294967296,4294967296)", "")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(with_shape("(99999999999999999999,)", "")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)", "1234")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("(2,", "")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(with_shape("2", "12345678")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(npy("{}", "")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(npy("{'descr': '<f4', 'descr': '<f4'}", "")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(npy("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "1234")), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "1234")), ErrorCode::kCorrupt);
  const std::string good = with_shape("(2,)", "12345678");
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(code_of(good.substr(0, size)), ErrorCode::kCorrupt) << size;
  std::string long_header = npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "1234", 2);
  long_header[11] = '\x7f';
  EXPECT_EQ(code_of(long_header), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace tideline
