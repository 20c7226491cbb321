// How many blocks persistent kernels are launched with, and where they run, on the fake driver.
#include "tests/runtime/device/LinearKernelFixture.h"

namespace gptqc::fixtures {
namespace {

TEST_F(LinearKernelTest, PersistentBlocksFillTheDeviceAndNoMore) {
  const QuantizedMatrix matrix = makeMatrix(4, 4096, 64, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, 64});
  image.launch.persistent = true;
  image.launch.tileN = 16; // 256 row tiles
  image.launch.splitK = 3;
  fake.smCount = 132;
  fake.residentBlocks = 2;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  workspace.emplace(*DeviceBuffer::allocate(*device, kernel->workspaceBytes(64)));
  for (const auto &[m, tokenBlocks] : {std::pair<int64_t, unsigned>{1, 1}, {33, 3}, {64, 4}}) {
    ASSERT_TRUE(run(*kernel, m, 64).ok());
    ASSERT_EQ(fake.launches.size(), 1u);
    EXPECT_EQ(fake.launches[0].gridX, 2 * 132 / 3 / tokenBlocks);
  }
}

TEST_F(LinearKernelTest, OneBlockAMultiprocessorWhereTwoShareTheItemsWorse) {
  fake.smCount = 132;
  fake.residentBlocks = 2;
  // Rounds of one block and of two: 3 and 2 of 2, which is 4; 2 and 1 of 2; 7 and 4 of 2, a tie
  // but for a seventh.
  for (const auto &[rowTiles, blocks] :
       {std::pair<int64_t, unsigned>{384, 132}, {256, 256}, {896, 264}}) {
    const QuantizedMatrix matrix = makeMatrix(4, rowTiles * 16, 64, 64, false);
    layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
    KernelImage image = imageFor(matrix.descriptor, {1, 16});
    image.launch.persistent = true;
    image.launch.tileN = 16;
    const auto kernel = LinearKernel::load(*device, image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 0));
    ASSERT_TRUE(run(*kernel, 3, 64).ok());
    ASSERT_EQ(fake.launches.size(), 1u);
    EXPECT_EQ(fake.launches[0].gridX, blocks) << rowTiles;
  }
}

// The multiprocessors that the kernel in front leaves first must not take what others will run.
TEST_F(LinearKernelTest, OverlappingPersistentBlocksKeepToTheirMultiprocessors) {
  const QuantizedMatrix matrix = makeMatrix(4, 2048, 64, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 0));
  fake.smCount = 132;
  fake.residentBlocks = 2;
  KernelImage image = imageFor(matrix.descriptor, {1, 16});
  image.launch.persistent = image.launch.overlaps = true;
  const int64_t most = device->info().maxSharedBytes, all = most + 1024;
  for (const int tileN : {16, 8}) { // 128 blocks, 256 blocks
    image.launch.tileN = tileN;
    const int64_t perSm = 16 / tileN;
    const auto kernel = LinearKernel::load(*device, image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    EXPECT_EQ(fake.maxDynamicShared, most);
    for (const bool overlaps : {false, true}) {
      ASSERT_TRUE(run(*kernel, 3, 64, 1 << 20, overlaps).ok());
      ASSERT_EQ(fake.launches.size(), 1u);
      const int64_t shared = fake.launches[0].shared;
      if (!overlaps) {
        EXPECT_EQ(shared, image.launch.sharedBytes);
        continue;
      }
      EXPECT_GT((perSm + 1) * (shared + 1024), all);
      EXPECT_LE(perSm * (shared + 1024), all);
    }
  }
}

// Clusters stay inside groups of multiprocessors, of which some are left over: room for 31 clusters
// of 4 with one block each, for 66 with two.
TEST_F(LinearKernelTest, OverlappingClustersAreNotSpreadSoFarThatSomeWait) {
  fake.smCount = 132;
  fake.residentBlocks = 2;
  fake.clusterGroups = {18, 18, 18, 16, 16, 16, 16, 14};
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 0));
  const int64_t all = device->info().maxSharedBytes + 1024;
  for (const auto &[clusters, perSm] : {std::pair<unsigned, int64_t>{31, 1}, {32, 2}, {66, 2}}) {
    const QuantizedMatrix matrix = makeMatrix(4, clusters * 64, 64, 64, false);
    layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
    KernelImage image = imageFor(matrix.descriptor, {1, 16});
    image.launch.persistent = image.launch.overlaps = true;
    image.launch.tileN = 64;
    image.launch.cluster = 4;
    const auto kernel = LinearKernel::load(*device, image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    ASSERT_TRUE(run(*kernel, 3, 64, 1 << 20, true).ok());
    EXPECT_EQ(fake.launches[0].gridX, 4 * clusters);
    const int64_t shared = fake.launches[0].shared;
    EXPECT_GT((perSm + 1) * (shared + 1024), all) << clusters;
    EXPECT_LE(perSm * (shared + 1024), all) << clusters;
  }
}

TEST_F(LinearKernelTest, WithoutLeaveToPadLaunchesAreNotPadded) {
  const QuantizedMatrix matrix = makeMatrix(4, 2048, 64, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 0));
  fake.residentBlocks = 4;
  KernelImage image = imageFor(matrix.descriptor, {1, 16});
  image.launch.persistent = image.launch.overlaps = true;
  image.launch.sharedBytes = 20000;
  fake.failing = "cuFuncSetAttribute", fake.failure = 1;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  ASSERT_TRUE(run(*kernel, 3, 64, 1 << 20, true).ok());
  EXPECT_EQ(fake.launches[0].shared, 20000u);
  image.launch.sharedBytes = 65536; // more than there is without leave
  EXPECT_EQ(LinearKernel::load(*device, image).status().code(), Code::DeviceError);
}

TEST_F(LinearKernelTest, TheBlocksOfAClusterShareTheirRowTiles) {
  const QuantizedMatrix matrix = makeMatrix(4, 4096, 64, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  KernelImage image = imageFor(matrix.descriptor, {1, 16});
  image.launch.persistent = true;
  image.launch.cluster = 8;
  for (const int tileN : {64, 1024}) { // more row tiles than clusters, and fewer
    image.launch.tileN = tileN;
    const auto kernel = LinearKernel::load(*device, image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    ASSERT_TRUE(run(*kernel, 16, 64).ok());
    EXPECT_EQ(fake.launches[0].gridX, 8u * std::min(132 / 8, 4096 / tileN));
  }
}

} // namespace
} // namespace gptqc::fixtures
