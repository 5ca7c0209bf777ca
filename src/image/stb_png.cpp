#include "image/stb_png.h"

#include <cstdlib>

namespace {

// A PNG of some kilobytes can claim to inflate to gigabytes, and stb grows its buffer as long as data comes.
thread_local std::size_t allocation_limit = 0;

void* limited_realloc(void* old, std::size_t size) {
  if (size > allocation_limit) return nullptr;
  return std::realloc(old, size);
}

}  // namespace

#define STBI_MALLOC(size) limited_realloc(nullptr, size)
#define STBI_REALLOC(old, size) limited_realloc(old, size)
#define STBI_FREE(old) std::free(old)
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace tideline::image {

StbPixels stb_decode(const unsigned char* file, std::size_t size, int channels, std::size_t allocation_max, const char** reason) {
  allocation_limit = allocation_max;
  StbPixels pixels;
  int channels_in_file = 0;
  pixels.data = stbi_load_from_memory(file, static_cast<int>(size), &pixels.width, &pixels.height, &channels_in_file, channels);
  if (pixels.data == nullptr) *reason = stbi_failure_reason();
  return pixels;
}

void stb_free(unsigned char* data) { stbi_image_free(data); }

}  // namespace tideline::image
