// The simulator itself under AddressSanitizer and UBSan, beside kernels whose instrumentation calls
// Hooks.cpp.
#ifndef GPTQC_TESTS_SIM_SANITIZED_H
#define GPTQC_TESTS_SIM_SANITIZED_H

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define GPTQC_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GPTQC_SIM_ASAN 1
#endif
#endif

#ifdef GPTQC_SIM_ASAN
#include <sanitizer/asan_interface.h>
/// The runtime of UBSan has handlers of these names: the linker gives the kernels these (--wrap).
#define GPTQC_SIM_HANDLER(name) __wrap_##name
#else
#define GPTQC_SIM_HANDLER(name) name
#endif

namespace gptqc::sim {

/// Forgets the frames that the stack's last fiber left by a jump, whose red zones would stay.
inline void freshStack([[maybe_unused]] const uint8_t *stack, [[maybe_unused]] size_t bytes) {
#ifdef GPTQC_SIM_ASAN
  __asan_unpoison_memory_region(stack, bytes);
#endif
}

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_SANITIZED_H
