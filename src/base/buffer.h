// Buffer: 64-byte aligned, uninitialised memory that moves but is not copied by accident.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

namespace tideline {

class Buffer {
 public:
  Buffer() = default;
  // The caller has checked `size` against a limit. Throws std::bad_alloc, as operator new does.
  explicit Buffer(std::size_t size)
      : data_(size == 0 ? nullptr : static_cast<std::byte*>(::operator new(size, kAlignment))), size_(size) {}
  static Buffer copy_of(std::span<const std::byte> bytes) {
    Buffer copy(bytes.size());
    if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
    return copy;
  }

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<std::byte> span() { return {data(), size_}; }
  std::span<const std::byte> span() const { return {data(), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* data) const { ::operator delete(data, kAlignment); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace tideline
