// Checks and in-memory files of the fuzz targets.
#include "tests/fuzz/FuzzTarget.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

namespace gptqc::fuzz {

void require(bool holds, std::string_view what) {
  if (holds)
    return;
  std::fprintf(stderr, "fuzz: does not hold: %.*s\n", int(what.size()), what.data());
  std::abort();
}

void checkMessage(std::string_view message) {
  require(!message.empty(), "a message says something");
  const bool clean = std::all_of(message.begin(), message.end(),
                                 [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  require(clean, fmt::format("a message is one printable line: {}", message));
}

void checkError(const Status &status) {
  require(!status.ok(), "an error has a code");
  checkMessage(status.message());
}

MemoryFile::MemoryFile()
    : fd(::memfd_create("gptqc-fuzz", MFD_CLOEXEC)), name(fmt::format("/proc/self/fd/{}", fd)) {
  require(fd >= 0, "memfd_create works");
}

MemoryFile::~MemoryFile() { ::close(fd); }

void MemoryFile::assign(const uint8_t *data, size_t size) {
  require(::ftruncate(fd, 0) == 0, "a file in memory can be cut");
  require(::pwrite(fd, data, size, 0) == ssize_t(size), "a file in memory can be written");
}

} // namespace gptqc::fuzz
