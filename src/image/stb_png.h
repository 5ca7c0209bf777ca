// The parts of stb_image.h that png.cpp uses, so that its implementation is compiled once, with our limits on its memory.
#pragma once

#include <cstddef>

namespace tideline::image {

struct StbPixels {
  unsigned char* data = nullptr;  // free with stb_free
  int width = 0;
  int height = 0;
};

// Null data on failure, with the reason in `reason`. No single allocation is above `allocation_max`.
StbPixels stb_decode(const unsigned char* file, std::size_t size, int channels, std::size_t allocation_max, const char** reason);
void stb_free(unsigned char* data);

}  // namespace tideline::image
