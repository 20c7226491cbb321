// SHA-256, written out: the runtime links no cryptography library.
#include "runtime/core/Hash.h"

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

namespace gptqc {
namespace {

constexpr std::array<uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t loadBigEndian(const uint8_t *bytes) {
  return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

} // namespace

void Sha256::block(const uint8_t *data) {
  std::array<uint32_t, 64> w;
  for (int i = 0; i < 16; ++i)
    w[i] = loadBigEndian(data + 4 * i);
  for (int i = 16; i < 64; ++i) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; ++i) {
    const uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRoundConstants[i] + w[i];
    const uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<uint32_t, 8> added = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i)
    state[i] += added[i];
}

Sha256 &Sha256::update(const void *data, size_t size) {
  const auto *bytes = static_cast<const uint8_t *>(data);
  size_t used = length % 64;
  length += size;
  if (used + size >= 64 && used > 0) {
    std::memcpy(pending.data() + used, bytes, 64 - used);
    block(pending.data());
    bytes += 64 - used;
    size -= 64 - used;
    used = 0;
  }
  for (; size >= 64; bytes += 64, size -= 64)
    block(bytes);
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
