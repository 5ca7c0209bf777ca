// Inception-v3 (Szegedy et al., 2015) at 299x299, without the auxiliary classifier, which only serves training.
#include "zoo/networks.h"

namespace tideline::zoo {

namespace {

constexpr float kEpsilon = 1e-3f;

Value basic(OnnxBuilder& b, const std::string& id, const Value& x, ConvOptions options) {
  options.bias = false;
  return b.relu(id + ".relu", b.batch_norm(id + ".bn", b.conv(id + ".conv", x, options), 1, kEpsilon));
}

Value pooled(OnnxBuilder& b, const std::string& id, const Value& x) {
  return b.average_pool(id, x, {.kernel = 3, .stride = 1, .pad = 1, .count_padding = true});
}

// 35x35.
Value block_a(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t pool_channels) {
  const Value one = basic(b, id + ".1x1", in, {.channels = 64});
  Value five = basic(b, id + ".5x5_1", in, {.channels = 48});
  five = basic(b, id + ".5x5_2", five, {.channels = 64, .kernel = {5, 5}, .pad = {2, 2}});
  Value three = basic(b, id + ".3x3_1", in, {.channels = 64});
  three = basic(b, id + ".3x3_2", three, {.channels = 96, .kernel = {3, 3}, .pad = {1, 1}});
  three = basic(b, id + ".3x3_3", three, {.channels = 96, .kernel = {3, 3}, .pad = {1, 1}});
  const Value pool = basic(b, id + ".pool_1x1", pooled(b, id + ".pool", in), {.channels = pool_channels});
  return b.concat(id + ".concat", {one, five, three, pool});
}

// 35x35 to 17x17.
Value block_b(OnnxBuilder& b, const std::string& id, const Value& in) {
  const Value three = basic(b, id + ".3x3", in, {.channels = 384, .kernel = {3, 3}, .stride = {2, 2}});
  Value twice = basic(b, id + ".twice_1", in, {.channels = 64});
  twice = basic(b, id + ".twice_2", twice, {.channels = 96, .kernel = {3, 3}, .pad = {1, 1}});
  twice = basic(b, id + ".twice_3", twice, {.channels = 96, .kernel = {3, 3}, .stride = {2, 2}});
  return b.concat(id + ".concat", {three, twice, b.max_pool(id + ".pool", in, {.kernel = 3, .stride = 2})});
}

// 17x17, 7x7 convolutions as 1x7 and 7x1.
Value block_c(OnnxBuilder& b, const std::string& id, const Value& in, std::int64_t width) {
  const ConvOptions row{.channels = width, .kernel = {1, 7}, .pad = {0, 3}};
  const ConvOptions column{.channels = width, .kernel = {7, 1}, .pad = {3, 0}};
  ConvOptions last_row = row;
  ConvOptions last_column = column;
  last_row.channels = last_column.channels = 192;
  const Value one = basic(b, id + ".1x1", in, {.channels = 192});
  Value once = basic(b, id + ".7x7_1", in, {.channels = width});
  once = basic(b, id + ".7x7_3", basic(b, id + ".7x7_2", once, row), last_column);
  Value twice = basic(b, id + ".twice_1", in, {.channels = width});
  twice = basic(b, id + ".twice_3", basic(b, id + ".twice_2", twice, column), row);
  twice = basic(b, id + ".twice_5", basic(b, id + ".twice_4", twice, column), last_row);
  const Value pool = basic(b, id + ".pool_1x1", pooled(b, id + ".pool", in), {.channels = 192});
  return b.concat(id + ".concat", {one, once, twice, pool});
}

// 17x17 to 8x8.
Value block_d(OnnxBuilder& b, const std::string& id, const Value& in) {
  Value three = basic(b, id + ".3x3_1", in, {.channels = 192});
  three = basic(b, id + ".3x3_2", three, {.channels = 320, .kernel = {3, 3}, .stride = {2, 2}});
  Value seven = basic(b, id + ".7x7_1", in, {.channels = 192});
  seven = basic(b, id + ".7x7_2", seven, {.channels = 192, .kernel = {1, 7}, .pad = {0, 3}});
  seven = basic(b, id + ".7x7_3", seven, {.channels = 192, .kernel = {7, 1}, .pad = {3, 0}});
  seven = basic(b, id + ".7x7_4", seven, {.channels = 192, .kernel = {3, 3}, .stride = {2, 2}});
  return b.concat(id + ".concat", {three, seven, b.max_pool(id + ".pool", in, {.kernel = 3, .stride = 2})});
}

// 8x8, 3x3 convolutions as 1x3 beside 3x1.
Value block_e(OnnxBuilder& b, const std::string& id, const Value& in) {
  const ConvOptions row{.channels = 384, .kernel = {1, 3}, .pad = {0, 1}};
  const ConvOptions column{.channels = 384, .kernel = {3, 1}, .pad = {1, 0}};
  const Value one = basic(b, id + ".1x1", in, {.channels = 320});
  Value once = basic(b, id + ".3x3_1", in, {.channels = 384});
  once = b.concat(id + ".3x3", {basic(b, id + ".3x3_2a", once, row), basic(b, id + ".3x3_2b", once, column)});
  Value twice = basic(b, id + ".twice_1", in, {.channels = 448});
  twice = basic(b, id + ".twice_2", twice, {.channels = 384, .kernel = {3, 3}, .pad = {1, 1}});
  twice = b.concat(id + ".twice", {basic(b, id + ".twice_3a", twice, row), basic(b, id + ".twice_3b", twice, column)});
  const Value pool = basic(b, id + ".pool_1x1", pooled(b, id + ".pool", in), {.channels = 192});
  return b.concat(id + ".concat", {one, once, twice, pool});
}

}  // namespace

void build_inception_v3(OnnxBuilder& b) {
  Value x = b.input("input", {1, 3, 299, 299});
  x = basic(b, "stem1", x, {.channels = 32, .kernel = {3, 3}, .stride = {2, 2}});
  x = basic(b, "stem2", x, {.channels = 32, .kernel = {3, 3}});
  x = basic(b, "stem3", x, {.channels = 64, .kernel = {3, 3}, .pad = {1, 1}});
  x = b.max_pool("stem3.pool", x, {.kernel = 3, .stride = 2});
  x = basic(b, "stem4", x, {.channels = 80});
  x = basic(b, "stem5", x, {.channels = 192, .kernel = {3, 3}});
  x = b.max_pool("stem5.pool", x, {.kernel = 3, .stride = 2});
  x = block_a(b, "mixed5b", x, 32);
  x = block_a(b, "mixed5c", x, 64);
  x = block_a(b, "mixed5d", x, 64);
  x = block_b(b, "mixed6a", x);
  x = block_c(b, "mixed6b", x, 128);
  x = block_c(b, "mixed6c", x, 160);
  x = block_c(b, "mixed6d", x, 160);
  x = block_c(b, "mixed6e", x, 192);
  x = block_d(b, "mixed7a", x);
  x = block_e(b, "mixed7b", x);
  x = block_e(b, "mixed7c", x);
  x = b.flatten("flatten", b.global_average_pool("pool", x));
  b.output(b.softmax("prob", b.fully_connected("fc", x, 1000, kLinearGain)));
}

}  // namespace tideline::zoo
