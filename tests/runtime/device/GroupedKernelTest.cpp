// Grouped layers on the fake driver: stacked weights on the device, launches over a bound of the
// tiles, offsets that the host never reads.
#include <cstring>

#include "runtime/core/Experts.h"
#include "runtime/device/LinearKernel.h"
#include "runtime/device/SupportArgs.h"
#include "tests/runtime/device/FakeDevice.h"

namespace gptqc {
namespace {

constexpr int64_t kSize = 128, kExperts = 4;

/// Four experts of 128 x 128, act-order.
QuantizedMatrix makeStack() {
  LayerCodes layer;
  layer.n = layer.k = kSize, layer.groupSize = 64;
  const std::vector<uint8_t> codes(size_t(kSize * kSize), 5);
  const std::vector<uint16_t> scales(size_t(2 * kSize), 0x2c00);
  std::vector<int32_t> groupIndex;
  for (int32_t k = 0; k < kSize; ++k)
    groupIndex.push_back(k % 2);
  layer.codes = codes, layer.scales = scales, layer.groupIndex = groupIndex;
  const QuantizedMatrix one = *layerFromCodes(layer);
  return *stackExperts(std::vector<QuantizedMatrix>(kExperts, one));
}

KernelImage imageFor(const Descriptor &layer) {
  KernelImage image;
  image.descriptor = layer.print();
  image.cubin = {1};
  image.launch.threads = 128;
  image.launch.tileN = 64;
  image.launch.tileM = 16;
  image.launch.splitK = 2;
  image.launch.paddedN = kSize;
  image.launch.usesPermutation = true;
  image.launch.experts = layer.experts;
  return image;
}

template <typename Args> Args argsOf(const FakeLaunch &launch) {
  Args args;
  EXPECT_EQ(launch.args.size(), sizeof args);
  std::memcpy(&args, launch.args.data(), sizeof args);
  return args;
}

using GroupedKernelTest = FakeDevice;

TEST_F(GroupedKernelTest, LaunchesCoverAnyRouting) {
  const QuantizedMatrix stack = makeStack();
  const auto layer = DeviceLayer::upload(*device, packWeights(stack));
  ASSERT_TRUE(layer.ok()) << layer.status().message();
  const auto kernel = LinearKernel::load(*device, imageFor(stack.descriptor));
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  const auto workspace = DeviceBuffer::allocateZeroed(*device, kernel->workspaceBytes(1 << 18));
  const auto stream = Stream::create(*device);
  const auto run = [&](int64_t m, uint64_t offsets) {
    fake.launches.clear();
    return kernel->run(*layer, 1 << 20, kSize, m, 1 << 30, kSize, *workspace, *stream, false,
                       offsets);
  };
  ASSERT_TRUE(run(33, 4096).ok());
  ASSERT_EQ(fake.launches.size(), 1u);
  EXPECT_EQ(fake.launches[0].gridX, 2u);
  EXPECT_EQ(fake.launches[0].gridY, 5u) << "30, 1, 1 and 1 rows at worst";
  EXPECT_EQ(fake.launches[0].gridZ, 2u);
  EXPECT_EQ(argsOf<LinearArgs>(fake.launches[0]).expertOffsets, 4096u);
  EXPECT_EQ(argsOf<LinearArgs>(fake.launches[0]).m, 33);
  // A long one: tiles go on where the launch before ended, rows stay where they are.
  ASSERT_TRUE(run(1 << 18, 4096).ok());
  ASSERT_EQ(fake.launches.size(), 3u);
  EXPECT_EQ(argsOf<LinearArgs>(fake.launches[1]).firstTile, 8192);
  EXPECT_EQ(argsOf<LinearArgs>(fake.launches[1]).x, 1u << 20);
  EXPECT_EQ(argsOf<LinearArgs>(fake.launches[2]).m, 1 << 18);
  EXPECT_EQ(fake.launches[2].gridY, 3u);
  EXPECT_NE(run(33, 0).message().find("needs the offsets"), std::string::npos);
  EXPECT_NE(run(33, 4098).message().find("4-byte"), std::string::npos);
  EXPECT_EQ(run(int64_t(1) << 31, 4096).code(), Code::InvalidArgument);
}

TEST_F(GroupedKernelTest, LaunchFactsMustFitTheDescriptor) {
  KernelImage image = imageFor(makeStack().descriptor);
  image.launch.experts = 1;
  EXPECT_EQ(LinearKernel::load(*device, image).status().code(), Code::DataCorrupt);
  image.launch.experts = kExperts;
  image.launch.permutedK = kSize;
  EXPECT_EQ(LinearKernel::load(*device, image).status().code(), Code::DataCorrupt);
}

TEST_F(GroupedKernelTest, ExpertsAreRepackedOneByOne) {
  KernelImage image;
  image.cubin = {1};
  const auto kernels = RepackKernels::load(*device, image);
  ASSERT_TRUE(kernels.ok());
  const QuantizedMatrix stack = makeStack();
  const PackedWeights packed = packWeights(stack);
  fake.launches.clear();
  const auto repacked = DeviceLayer::fromCodes(*device, *kernels, stack);
  ASSERT_TRUE(repacked.ok()) << repacked.status().message();
  EXPECT_EQ(repacked->bytes(), DeviceLayer::upload(*device, packed)->bytes());
  ASSERT_EQ(fake.launches.size(), 2u * kExperts);
  const auto first = argsOf<RepackArgs>(fake.launches[0]),
             last = argsOf<RepackArgs>(fake.launches[6]);
  EXPECT_EQ(last.weights - first.weights, uint64_t(3 * packed.layout.weightBytes));
  EXPECT_EQ(last.source - first.source, uint64_t(3 * kSize * kSize));
  EXPECT_EQ(last.perm - first.perm, uint64_t(3 * packed.layout.paddedK * 4));
}

} // namespace
} // namespace gptqc
