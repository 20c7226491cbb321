// Launches of the fake driver become runs of the machine.
#include "tests/sim/FakeLauncher.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "runtime/model/cuda/ModelKernels.h"
#include "runtime/solver/cuda/CudaSolver.h"
#include "tests/sim/KernelTable.h"
#include "tests/sim/Machine.h"

namespace gptqc::sim {
namespace {

std::string findings; ///< of the first launch that was not clean

template <typename Args> struct Call {
  void (*kernel)(Args);
  Args args;
};

template <typename Args> void body(const void *context) {
  const auto &call = *static_cast<const Call<Args> *>(context);
  call.kernel(call.args);
}

/// Whether a parameter points into the memory; no kernel has pointers elsewhere.
template <typename Args> bool isNamed(const Args &args, uint64_t address, size_t bytes) {
  uint64_t words[sizeof(Args) / sizeof(uint64_t)];
  std::memcpy(words, &args, sizeof words);
  return std::any_of(std::begin(words), std::end(words),
                     [&](uint64_t word) { return word >= address && word - address < bytes; });
}

template <typename Args>
int launchKernel(void (*kernel)(Args), const FakeLaunch &fake, const void *args) {
  Call<Args> call = {kernel, Args()};
  std::memcpy(&call.args, args, sizeof(Args));
  Launch launch;
  launch.kernel = body<Args>;
  launch.context = &call;
  launch.grid = {fake.gridX, fake.gridY, fake.gridZ};
  launch.threads = int(fake.threads);
  launch.sharedBytes = fake.shared;
  for (const auto &[address, bytes] : fakeState().memory)
    if (isNamed(call.args, address, bytes)) // a model's other weights would cost shadow memory
      launch.buffers.push_back(
          {"device memory", reinterpret_cast<uint8_t *>(address), bytes, true});
  const Report report = run(launch);
  if (!report.clean() && findings.empty())
    findings = fake.entry + ": " + report.text();
  return 0;
}

int launchInSimulator(const FakeLaunch &fake, const void *args) {
  if (const ModelKernel kernel = findModelKernel(fake.entry))
    return launchKernel(kernel, fake, args);
  if (const SolverKernel kernel = findSolverKernel(fake.entry))
    return launchKernel(kernel, fake, args);
  return 500; // CUDA_ERROR_NOT_FOUND
}

KernelImage imageOf(const char *descriptor, const char *entry) {
  KernelImage image;
  image.descriptor = descriptor;
  image.target = "sm_90a";
  image.launch.entry = entry;
  image.cubin = {1};
  return image;
}

} // namespace

void SimulatedDevice::SetUp() {
  FakeDevice::SetUp();
  fake.launcher = launchInSimulator;
  findings.clear();
}

void SimulatedDevice::TearDown() {
  EXPECT_EQ(findings, "");
  FakeDevice::TearDown();
}

KernelImage modelImage() { return imageOf("support/model.cu:loss", gptqc::ModelKernels::kEntry); }
KernelImage solverImage() {
  return imageOf("support/solver.cu:quantize_columns", "quantize_columns");
}

TokenRows someRows(int64_t rows, int64_t length) {
  TokenRows tokens = {rows, length, {}};
  for (int64_t i = 0; i < rows * length; ++i)
    tokens.ids.push_back(int32_t(i * i * 7 + i * 3) % 64);
  return tokens;
}

} // namespace gptqc::sim
