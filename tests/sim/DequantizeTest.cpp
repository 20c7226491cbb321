// Dense weights from packed ones: the kernel against the host, on a cover of descriptors.
#define GPTQC_SIM_ARCH 800
#include "tests/sim/host/cuda_host.h"

#include <bit>

#include <gtest/gtest.h>

#include "runtime/core/Float16.h"
#include "runtime/cpu/Dequantize.h"
#include "runtime/cpu/Synthetic.h"
#include "runtime/device/SupportArgs.h"
#include "templates/support/dequantize_packed.cu"
#include "tests/sim/Machine.h"
#include "tests/support/Cases.h"

namespace gptqc::sim {
namespace {

void thread(const void *context) {
  ::dequantize_packed(*static_cast<const dequantize_packed_args *>(context));
}

template <typename T> Buffer bufferOf(const char *name, std::vector<T> &values, bool writable) {
  return {name, reinterpret_cast<uint8_t *>(values.data()), values.size() * sizeof(T), writable,
          false};
}

std::vector<uint16_t> runKernel(PackedWeights &packed, DType type) {
  const Descriptor &d = packed.descriptor;
  const WeightLayout &layout = packed.layout;
  std::vector<uint16_t> dense(size_t(d.n * d.k), 0x7e00);
  const auto addressOf = [](const auto &values) {
    return values.empty() ? 0 : uint64_t(reinterpret_cast<uintptr_t>(values.data()));
  };
  DequantizePackedArgs host = DequantizePackedArgs::of(d, layout, type);
  host.weights = addressOf(packed.weights);
  host.scales = addressOf(packed.scales);
  host.zeros = addressOf(packed.zeros);
  host.groupOf = addressOf(packed.groupOf);
  host.perm = addressOf(packed.perm);
  host.dense = addressOf(dense);
  auto args = std::bit_cast<dequantize_packed_args>(host);
  Launch launch;
  launch.kernel = thread;
  launch.context = &args;
  launch.threads = 256;
  launch.grid.x = unsigned((layout.paddedK + 255) / 256);
  launch.grid.y = 3; // fewer than rows of blocks, so that they loop
  launch.buffers = {{"args", reinterpret_cast<uint8_t *>(&args), sizeof args, false, false},
                    bufferOf("weights", packed.weights, false),
                    bufferOf("scales", packed.scales, false),
                    bufferOf("zeros", packed.zeros, false),
                    bufferOf("group_of", packed.groupOf, false),
                    bufferOf("perm", packed.perm, false),
                    bufferOf("dense", dense, true)};
  const Report report = run(launch);
  EXPECT_TRUE(report.clean()) << report.text();
  return dense;
}

TEST(DequantizePacked, GivesWhatTheHostGives) {
  const std::vector<Descriptor> cases = gptqc::fixtures::smallCases();
  for (size_t i = 0; i < cases.size(); i += 3) {
    const Result<QuantizedMatrix> matrix = syntheticLayer(cases[i], 5, 1);
    ASSERT_TRUE(matrix.ok()) << matrix.status().message();
    PackedWeights packed = packWeights(*matrix);
    const DType type = i % 2 == 0 ? DType::F16 : DType::BF16;
    const Matrix expected = dequantize(packed);
    const std::vector<uint16_t> dense = runKernel(packed, type);
    for (size_t j = 0; j < dense.size(); ++j)
      ASSERT_EQ(dense[j], fromFloat(expected.values[j], type))
          << cases[i].print() << ", element " << j;
  }
}

} // namespace
} // namespace gptqc::sim
