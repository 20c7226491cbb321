// The GPU's reference, which judges all kernels there, beside the CPU's.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/cpu/Reference.h"
#include "runtime/cpu/Synthetic.h"
#include "runtime/device/SupportArgs.h"
#include "tests/sim/Machine.h"

extern "C" void reference_gemm(gptqc::ReferenceArgs); // NOLINT(readability-identifier-naming)

namespace gptqc::sim {
namespace {

class ReferenceKernel : public testing::TestWithParam<const char *> {};

TEST_P(ReferenceKernel, EqualsTheReferenceOfTheCpu) {
  constexpr int64_t kRows = 19;
  const Descriptor d = *Descriptor::parse(GetParam());
  QuantizedMatrix matrix = *syntheticLayer(d, 3);
  std::vector<uint16_t> x = syntheticActivations(Inputs::Shifted, kRows, d.k, d.act, 4);
  std::vector<int32_t> groupOf;
  for (int64_t k = 0; k < d.k; ++k)
    groupOf.push_back(matrix.groupOf(k));
  std::vector<double> y(size_t(kRows * d.n)), squares(y.size());

  ReferenceArgs args = referenceArgs(d, kRows);
  Launch launch;
  const auto pass = [&](const char *name, auto &values, bool writable = false) {
    auto *bytes = reinterpret_cast<uint8_t *>(values.data());
    if (!values.empty())
      launch.buffers.push_back({name, bytes, values.size() * sizeof(values[0]), writable, true});
    return values.empty() ? 0 : reinterpret_cast<uint64_t>(bytes);
  };
  args.codes = pass("codes", matrix.codes);
  args.zeros = pass("zeros", matrix.zeros);
  args.scales = pass("scales", matrix.scales);
  args.groupOf = pass("group_of", groupOf);
  args.x = pass("x", x);
  args.bias = pass("bias", matrix.bias);
  args.y = pass("y", y, true);
  args.squares = pass("squares", squares, true);
  launch.kernel = [](const void *context) {
    reference_gemm(*static_cast<const ReferenceArgs *>(context));
  };
  launch.context = &args;
  launch.grid = {unsigned(d.n + 63) / 64, unsigned(kRows + 15) / 16};
  launch.threads = 256;
  launch.sharedBytes = size_t(kReferenceSharedBytes);
  const Report report = run(launch);
  ASSERT_TRUE(report.clean()) << report.text();

  const Reference want = referenceLinear(matrix, x.data(), d.k, kRows);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(y[i], want.y[i], 1e-10 * want.spread[i] * double(d.k)) << "element " << i;
    ASSERT_NEAR(std::sqrt(squares[i]), want.spread[i], 1e-10 * want.spread[i]) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layers, ReferenceKernel,
    testing::Values("w2 g24 asym f16->f16 n66 k72 m1.. bias",
                    "w4 g48 sym actorder bf16->f16 n65 k96 m1..",
                    "w3 g32 asym actorder ragged f16->bf16 scales:bf16 n64 k50 m1.."));

} // namespace
} // namespace gptqc::sim
