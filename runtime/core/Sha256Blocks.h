// The compression function of SHA-256, portable and with the x86 SHA extensions: digests of large
// files (libnvrtc is over 100 MB) are computed at every start of the compiler.
#ifndef GPTQC_RUNTIME_CORE_SHA256BLOCKS_H
#define GPTQC_RUNTIME_CORE_SHA256BLOCKS_H

#include <cstddef>
#include <cstdint>

namespace gptqc {

/// Adds `count` blocks of 64 bytes to the state of eight words.
using Sha256Blocks = void (*)(uint32_t *state, const uint8_t *data, size_t count);

void sha256BlocksPortable(uint32_t *state, const uint8_t *data, size_t count);

/// The fastest that this processor runs; decided once.
Sha256Blocks sha256Blocks();

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_SHA256BLOCKS_H
