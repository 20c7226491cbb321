// The hooks that -fsanitize=thread,bounds,shift-exponent instrumentation calls, in place of libtsan
// and libubsan.
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "tests/sim/Memory.h"
#include "tests/sim/Sanitized.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

namespace {

/// Sizes that one instruction moves. An access that the compiler knows to be misaligned comes as a
/// range.
bool isRegister(size_t bytes) { return bytes <= 16 && std::has_single_bit(bytes); }

void check(const void *address, size_t bytes, Access kind, bool aligned, const void *site) {
  if (!watching)
    return;
  const Unwatched unwatched;
  if (onFiberStack(address))
    return;
  Thread &thread = currentThread();
  if (aligned && reinterpret_cast<uintptr_t>(address) % bytes != 0)
    fail(fmt::format("{}: misaligned {}-byte access at {}", who(thread), bytes,
                     describeAddress(address)),
         site);
  request(thread, address, bytes, kind, site);
}

/// An index or shift that is undefined; the hardware would do something else than the host.
void undefined(const char *what, const void *site) {
  if (!watching)
    return;
  const Unwatched unwatched;
  fail(fmt::format("{}: {}", who(currentThread()), what), site);
}

} // namespace

void touch(const void *address, size_t bytes, bool isWrite) {
  check(address, bytes, isWrite ? Access::Write : Access::Read, true, __builtin_return_address(0));
}

} // namespace gptqc::sim

// The instrumentation interface of -fsanitize=thread (GCC and Clang emit the same calls).
// The compiler chose these names.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
#define GPTQC_SIM_READ(name, size)                                                                 \
  void __tsan_##name##size(void *p) {                                                              \
    gptqc::sim::check(p, size, gptqc::sim::Access::Read, true, __builtin_return_address(0));       \
  }
#define GPTQC_SIM_WRITE(name, size)                                                                \
  void __tsan_##name##size(void *p) {                                                              \
    gptqc::sim::check(p, size, gptqc::sim::Access::Write, true, __builtin_return_address(0));      \
  }
#define GPTQC_SIM_HOOKS(size)                                                                      \
  GPTQC_SIM_READ(read, size)                                                                       \
  GPTQC_SIM_WRITE(write, size)                                                                     \
  GPTQC_SIM_READ(unaligned_read, size)                                                             \
  GPTQC_SIM_WRITE(unaligned_write, size)                                                           \
  GPTQC_SIM_READ(volatile_read, size)                                                              \
  GPTQC_SIM_WRITE(volatile_write, size)
GPTQC_SIM_HOOKS(1)
GPTQC_SIM_HOOKS(2)
GPTQC_SIM_HOOKS(4)
GPTQC_SIM_HOOKS(8)
GPTQC_SIM_HOOKS(16)
void __tsan_read_range(void *p, size_t size) {
  gptqc::sim::check(p, size, gptqc::sim::Access::Read, gptqc::sim::isRegister(size),
                    __builtin_return_address(0));
}
void __tsan_write_range(void *p, size_t size) {
  gptqc::sim::check(p, size, gptqc::sim::Access::Write, gptqc::sim::isRegister(size),
                    __builtin_return_address(0));
}
void *__tsan_memcpy(void *to, const void *from, size_t size) {
  __tsan_read_range(const_cast<void *>(from), size);
  __tsan_write_range(to, size);
  return std::memcpy(to, from, size);
}
void *__tsan_memmove(void *to, const void *from, size_t size) {
  __tsan_read_range(const_cast<void *>(from), size);
  __tsan_write_range(to, size);
  return std::memmove(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size) {
  __tsan_write_range(to, size);
  return std::memset(to, value, size);
}
// Of -fsanitize=bounds,shift-exponent: registers are arrays that no shadow covers.
void GPTQC_SIM_HANDLER(__ubsan_handle_out_of_bounds)(void *, void *) {
  gptqc::sim::undefined("index outside of an array", __builtin_return_address(0));
}
void GPTQC_SIM_HANDLER(__ubsan_handle_shift_out_of_bounds)(void *, void *, void *) {
  gptqc::sim::undefined("shift by as many bits as the type has, or more",
                        __builtin_return_address(0));
}
void __tsan_vptr_update(void *, void *) {} // objects of the test code, not of kernels
void __tsan_vptr_read(void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
