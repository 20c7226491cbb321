// Writes a safetensors file whose tensors are produced one by one, in any order and by several
// threads, so that a model never has to be in memory. Deterministic: the same tensors give the same
// bytes.
#ifndef GPTQC_RUNTIME_CORE_SAFETENSORSWRITER_H
#define GPTQC_RUNTIME_CORE_SAFETENSORSWRITER_H

#include <map>
#include <memory>
#include <mutex>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/SafeTensors.h"

namespace gptqc {

/// A tensor that will be written.
struct TensorPlan {
  std::string name;
  ElementType type = ElementType::F16;
  std::vector<int64_t> shape;
  /// Bytes of the tensor (elements are whole bytes in everything we write).
  uint64_t bytes() const;
};

class SafeTensorsWriter {
public:
  /// Lays the file out (widest element type first, then by name, as the format's own library does)
  /// and writes the header. The file appears under `path` only with finish().
  static Result<std::unique_ptr<SafeTensorsWriter>>
  create(const std::filesystem::path &path, const std::vector<TensorPlan> &plan,
         const std::map<std::string, std::string> &metadata);

  /// All bytes of one planned tensor, once. Thread-safe.
  Status write(std::string_view name, std::span<const uint8_t> bytes);

  /// Flushes and renames; an Internal error when a planned tensor was never written.
  Status finish();

private:
  SafeTensorsWriter(AtomicFile file, std::filesystem::path path)
      : file(std::move(file)), path(std::move(path)) {}

  struct Slot {
    uint64_t begin = 0, bytes = 0;
    bool written = false;
  };

  AtomicFile file;
  std::filesystem::path path;
  std::mutex mutex;
  std::map<std::string, Slot, std::less<>> slots;
};

/// Bytes of a vector, for write().
template <typename T> std::span<const uint8_t> bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const uint8_t *>(values.data()), values.size() * sizeof(T)};
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_SAFETENSORSWRITER_H
