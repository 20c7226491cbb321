// SHA-256 (FIPS 180-4): what keys the kernel cache and proves that a stored file is undamaged.
#ifndef GPTQC_RUNTIME_CORE_HASH_H
#define GPTQC_RUNTIME_CORE_HASH_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"

namespace gptqc {

using Sha256Digest = std::array<uint8_t, 32>;

/// An incremental SHA-256. A value type; one thread at a time.
class Sha256 {
public:
  Sha256 &update(const void *data, size_t size);
  Sha256 &update(std::string_view text) { return update(text.data(), text.size()); }

  /// Hashes the length before the bytes, so that a list of fields cannot be split differently and
  /// give the same digest.
  Sha256 &updateField(std::string_view text);

  /// Ends the message; the object must not be used after it.
  Sha256Digest finish();

private:
  std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending = {};
  uint64_t length = 0; ///< bytes so far
};

/// 64 lower-case hexadecimal digits.
std::string toHex(const Sha256Digest &digest);

Sha256Digest sha256(const void *data, size_t size);
std::string sha256Hex(std::string_view text);

/// The digest of a file's bytes, in hexadecimal.
Result<std::string> sha256File(const std::filesystem::path &path);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_HASH_H
