// Controls of the fake CUDA driver (FakeDriver.cpp): a shared library with the driver's symbols
// whose device memory is host memory and whose launches are recorded, or run by a test.
#ifndef GPTQC_TESTS_RUNTIME_DEVICE_FAKEDRIVER_H
#define GPTQC_TESTS_RUNTIME_DEVICE_FAKEDRIVER_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gptqc {

struct FakeLaunch {
  std::string entry;
  unsigned gridX = 0, gridY = 0, gridZ = 0, threads = 0, shared = 0;
  bool captured = false;
  bool overlaps = false; ///< launched with programmatic stream serialization
  std::vector<uint8_t> args;
  std::vector<uint64_t> map; ///< second parameter: base, columns, rows, stride, box columns, rows
};

/// `args`: the kernel's parameter. 0, or an error of the driver.
using FakeLauncher = int (*)(const FakeLaunch &launch, const void *args);

struct FakeState {
  int version = 13000;
  int deviceCount = 1;
  std::string name = "NVIDIA H200";
  int major = 9, minor = 0, smCount = 132;
  int residentBlocks = 1; ///< of a multiprocessor, as far as shared memory lets them
  std::vector<int>
      clusterGroups;   ///< multiprocessors that clusters stay inside of; empty: one group
  std::string failing; ///< symbol that fails...
  int failure = 0;     ///< ...with this code
  std::vector<FakeLaunch> launches;
  int64_t allocations = 0, modules = 0, streams = 0, events = 0, graphs = 0; ///< alive
  size_t freeBytes = size_t(1) << 36;
  std::map<uint64_t, size_t> memory; ///< what is allocated: address and bytes
  FakeLauncher launcher = nullptr;   ///< runs every launch, one at a time; null: they are recorded
  int maxDynamicShared = 0;          ///< last value set with cuFuncSetAttribute
  bool capturing = false;
  int graphLaunches = 0;
  bool record = true;      ///< keep `launches`; otherwise they are only counted
  int64_t launchCount = 0; ///< all launches
  int64_t allocationCalls = 0, synchronizations = 0, copies2d = 0, moduleLoads = 0;
};

} // namespace gptqc

/// The library's state; a test resets it by assigning FakeState().
extern "C" gptqc::FakeState *fakeDriverState();

#endif // GPTQC_TESTS_RUNTIME_DEVICE_FAKEDRIVER_H
