// Reads safetensors files: an 8-byte header length, a JSON header, then the tensors' bytes. The
// file is mapped, so opening a large model costs its header alone. Every claim of the header is
// checked.
#ifndef GPTQC_RUNTIME_CORE_SAFETENSORS_H
#define GPTQC_RUNTIME_CORE_SAFETENSORS_H

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"
#include "runtime/core/TextForm.h" // quoteName, for names of tensors

namespace gptqc {

/// Element types of the safetensors format, narrowest first.
enum class ElementType {
  F4,
  F6E2M3,
  F6E3M2,
  Bool,
  U8,
  I8,
  F8E5M2,
  F8E4M3,
  F8E8M0,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64
};

/// The format's own spelling, e.g. "F16".
std::string_view elementTypeName(ElementType type);
int elementBits(ElementType type);

struct TensorInfo {
  std::string name;
  ElementType type = ElementType::F16;
  std::vector<int64_t> shape;
  uint64_t begin = 0; ///< byte offset inside the data section
  uint64_t bytes = 0;

  int64_t elements() const;
  /// "F16 [256,768]"
  std::string print() const;
};

/// A mapped file; immutable and thread-safe. The bytes live as long as this object.
class SafeTensorsFile {
public:
  /// The largest header that the format allows.
  static constexpr uint64_t kMaxHeaderBytes = 100'000'000;

  /// NotFound, IoError, or DataCorrupt naming the file, the tensor and what is wrong with it:
  /// truncated or oversized header, no JSON object, duplicate names, unknown types, shapes whose
  /// size overflows or differs from the bytes given, ranges that overlap, leave holes or end
  /// outside the file.
  static Result<std::shared_ptr<const SafeTensorsFile>> open(const std::filesystem::path &path);

  SafeTensorsFile(const SafeTensorsFile &) = delete;
  SafeTensorsFile &operator=(const SafeTensorsFile &) = delete;
  ~SafeTensorsFile();

  const std::filesystem::path &path() const { return filePath; }
  /// In order of their names.
  const std::vector<TensorInfo> &tensors() const { return infos; }
  /// Null when there is none.
  const TensorInfo *find(std::string_view name) const;
  /// Borrowed from the mapping; no alignment is promised.
  std::span<const uint8_t> bytes(const TensorInfo &info) const {
    return {data + info.begin, size_t(info.bytes)};
  }
  const std::map<std::string, std::string> &metadata() const { return meta; }

private:
  SafeTensorsFile() = default;
  Status parseHeader(std::string_view header, uint64_t dataBytes);

  std::filesystem::path filePath;
  void *mapping = nullptr;
  size_t mappedBytes = 0;
  const uint8_t *data = nullptr; ///< start of the data section
  std::vector<TensorInfo> infos;
  std::map<std::string, std::string> meta;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_SAFETENSORS_H
