// What every fuzz target uses: checks that abort with a reason, and inputs that look like files.
#ifndef GPTQC_TESTS_FUZZ_FUZZTARGET_H
#define GPTQC_TESTS_FUZZ_FUZZTARGET_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"

/// One input; every target defines it. Returns 0.
// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace gptqc::fuzz {

inline std::string_view textOf(const uint8_t *data, size_t size) {
  return {reinterpret_cast<const char *>(data), size};
}

/// Prints what does not hold and aborts: a find.
void require(bool holds, std::string_view what);

/// A message that a user may see: not empty, one line, no control characters.
void checkMessage(std::string_view message);

/// An error with such a message.
void checkError(const Status &status);

/// A file without a folder: bytes in memory under a path that anything can open.
class MemoryFile {
public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  void assign(const uint8_t *data, size_t size);
  const std::string &path() const { return name; }

private:
  int fd;
  std::string name;
};

} // namespace gptqc::fuzz

#endif // GPTQC_TESTS_FUZZ_FUZZTARGET_H
