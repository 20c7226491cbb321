// A layer, a kernel image and a run of it on the fake driver.
#ifndef GPTQC_TESTS_RUNTIME_DEVICE_LINEARKERNELFIXTURE_H
#define GPTQC_TESTS_RUNTIME_DEVICE_LINEARKERNELFIXTURE_H

#include <cstring>
#include <optional>
#include <random>

#include "runtime/device/LinearKernel.h"
#include "tests/runtime/device/FakeDevice.h"

namespace gptqc::fixtures {

inline QuantizedMatrix makeMatrix(int bits, int64_t n, int64_t k, int64_t groupSize,
                                  bool actOrder) {
  std::mt19937 random(3);
  LayerCodes layer;
  layer.bits = bits;
  layer.n = n;
  layer.k = k;
  layer.groupSize = groupSize;
  const int64_t groups = (k + groupSize - 1) / groupSize;
  std::vector<uint8_t> codes(size_t(k * n)), zeros(size_t(groups * n));
  std::vector<uint16_t> scales(size_t(groups * n), 0x2c00), bias(size_t(n), 0x3c00);
  std::vector<int32_t> groupIndex;
  for (uint8_t &code : codes)
    code = uint8_t(random() % (1u << bits));
  for (uint8_t &zero : zeros)
    zero = uint8_t(random() % (1u << bits));
  if (actOrder)
    for (int64_t i = 0; i < k; ++i)
      groupIndex.push_back(int32_t((i * 7 + 3) % k / groupSize));
  layer.codes = codes;
  layer.zeros = zeros;
  layer.scales = scales;
  layer.bias = bias;
  layer.groupIndex = groupIndex;
  auto matrix = layerFromCodes(layer);
  EXPECT_TRUE(matrix.ok()) << matrix.status().message();
  return *matrix;
}

inline KernelImage imageFor(const Descriptor &layer, MRange m) {
  Descriptor descriptor = layer;
  descriptor.m = m;
  KernelImage image;
  image.descriptor = descriptor.print();
  image.cubin = {1};
  image.launch.threads = 128;
  image.launch.sharedBytes = 65536;
  image.launch.tileN = 64;
  image.launch.tileM = 16;
  image.launch.paddedN = WeightLayout::uniform(layer).paddedN;
  return image;
}

class LinearKernelTest : public FakeDevice {
protected:
  /// Runs with dummy, aligned addresses: the fake driver launches nothing.
  Status run(const LinearKernel &kernel, int64_t m, int64_t ldx, uint64_t x = 1 << 20,
             bool overlaps = false) {
    const auto stream = Stream::create(*device);
    fake.launches.clear();
    return kernel.run(*layer, x, ldx, m, 1 << 30, layer->descriptor().n, *workspace, *stream,
                      overlaps);
  }
  void TearDown() override {
    layer.reset();
    workspace.reset();
    FakeDevice::TearDown();
  }
  static LinearArgs argsOf(const FakeLaunch &launch) {
    LinearArgs args;
    EXPECT_EQ(launch.args.size(), sizeof args);
    std::memcpy(&args, launch.args.data(), sizeof args);
    return args;
  }

  std::optional<DeviceLayer> layer;
  std::optional<DeviceBuffer> workspace;
};

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_RUNTIME_DEVICE_LINEARKERNELFIXTURE_H
