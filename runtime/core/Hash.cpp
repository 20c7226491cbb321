// SHA-256, written out: the runtime links no cryptography library.
#include "runtime/core/Hash.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "runtime/core/Sha256Blocks.h"

namespace gptqc {

Sha256 &Sha256::update(const void *data, size_t size) {
  const auto *bytes = static_cast<const uint8_t *>(data);
  size_t used = length % 64;
  length += size;
  if (used + size >= 64 && used > 0) {
    std::memcpy(pending.data() + used, bytes, 64 - used);
    sha256Blocks()(state.data(), pending.data(), 1);
    bytes += 64 - used;
    size -= 64 - used;
    used = 0;
  }
  if (size >= 64) {
    sha256Blocks()(state.data(), bytes, size / 64);
    bytes += size / 64 * 64;
    size %= 64;
  }
  if (size > 0)
    std::memcpy(pending.data() + used, bytes, size);
  return *this;
}

Sha256 &Sha256::updateField(std::string_view text) {
  std::array<uint8_t, 8> bytes;
  for (int i = 0; i < 8; ++i)
    bytes[i] = uint8_t(uint64_t(text.size()) >> (8 * i));
  return update(bytes.data(), bytes.size()).update(text);
}

Sha256Digest Sha256::finish() {
  const uint64_t bits = length * 8;
  std::array<uint8_t, 72> tail = {0x80};
  const size_t zeros = (length % 64 < 56 ? 56 : 120) - length % 64;
  for (int i = 0; i < 8; ++i)
    tail[zeros + i] = uint8_t(bits >> (56 - 8 * i));
  update(tail.data(), zeros + 8);
  Sha256Digest digest;
  for (int i = 0; i < 32; ++i)
    digest[i] = uint8_t(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

std::string toHex(const Sha256Digest &digest) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Sha256Digest sha256(const void *data, size_t size) { return Sha256().update(data, size).finish(); }

std::string sha256Hex(std::string_view text) { return toHex(sha256(text.data(), text.size())); }

Result<std::string> sha256File(const std::filesystem::path &path) {
  const auto failed = [&] {
    return makeError(Code::IoError, "cannot read {}: {}", path.string(),
                     std::generic_category().message(errno));
  };
  const std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file)
    return failed();
  Sha256 hash;
  std::vector<uint8_t> buffer(size_t(1) << 20);
  size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0)
    hash.update(buffer.data(), count);
  if (std::ferror(file.get()))
    return failed();
  return toHex(hash.finish());
}

} // namespace gptqc
