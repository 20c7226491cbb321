// DeviceLayer and LinearKernel on the fake driver: what is uploaded, what is launched, what is
// refused.
#include "runtime/device/SupportArgs.h"
#include "tests/runtime/device/LinearKernelFixture.h"

namespace gptqc::fixtures {
namespace {

TEST_F(LinearKernelTest, UploadThenDownload) {
  for (const bool actOrder : {false, true}) {
    const PackedWeights packed = packWeights(makeMatrix(3, 80, 256, 64, actOrder));
    auto uploaded = DeviceLayer::upload(*device, packed);
    ASSERT_TRUE(uploaded.ok()) << uploaded.status().message();
    const auto again = uploaded->download();
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->weights, packed.weights);
    EXPECT_EQ(again->scales, packed.scales);
    EXPECT_EQ(again->zeros, packed.zeros);
    EXPECT_EQ(again->perm, packed.perm);
    EXPECT_EQ(again->bias, packed.bias);
    EXPECT_EQ(uploaded->isPermuted(), actOrder);
    EXPECT_EQ(uploaded->bytes(),
              int64_t(packed.weights.size() + 2 * packed.scales.size() + packed.zeros.size() +
                      4 * packed.perm.size() + 2 * packed.bias.size()));
  }
}

TEST_F(LinearKernelTest, RepackLaunchesBothKernels) {
  KernelImage image;
  image.cubin = {1};
  const auto kernels = RepackKernels::load(*device, image);
  ASSERT_TRUE(kernels.ok());
  const QuantizedMatrix matrix = makeMatrix(5, 80, 192, 64, true);
  auto repacked = DeviceLayer::fromCodes(*device, *kernels, matrix);
  ASSERT_TRUE(repacked.ok()) << repacked.status().message();
  ASSERT_EQ(fake.launches.size(), 2u);
  EXPECT_EQ(fake.launches[0].entry, "repack_weights");
  RepackArgs args;
  std::memcpy(&args, fake.launches[0].args.data(), sizeof args);
  EXPECT_EQ(args.n, 80);
  EXPECT_EQ(args.paddedN, 128);
  EXPECT_EQ(args.bits, 5);
  EXPECT_EQ(int64_t(fake.launches[0].gridX) * 256 * 16 >= repacked->layout().weightBytes, true);
  EXPECT_EQ(fake.launches[1].entry, "repack_scales");
  EXPECT_TRUE(repacked->isPermuted());

  QuantizedMatrix broken = matrix;
  broken.codes.pop_back();
  EXPECT_EQ(DeviceLayer::fromCodes(*device, *kernels, broken).status().code(),
            Code::InvalidArgument);
  broken = matrix;
  broken.scales.pop_back();
  EXPECT_EQ(DeviceLayer::fromCodes(*device, *kernels, broken).status().code(),
            Code::InvalidArgument);
  const std::vector<uint32_t> words(size_t(192 * 5 / 32 * 80 - 1));
  EXPECT_EQ(
      DeviceLayer::fromWords(*device, *kernels, matrix, words, WordPacking::Planar).status().code(),
      Code::InvalidArgument);
}

TEST_F(LinearKernelTest, OneLaunchWithTheRightArguments) {
  const QuantizedMatrix matrix = makeMatrix(4, 80, 256, 64, true);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, 64});
  image.launch.usesPermutation = true;
  image.launch.splitK = 2;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, kernel->workspaceBytes(33)));
  ASSERT_TRUE(run(*kernel, 33, 256).ok());
  ASSERT_EQ(fake.launches.size(), 1u);
  const FakeLaunch &launch = fake.launches[0];
  EXPECT_EQ(std::tie(launch.gridX, launch.gridY, launch.gridZ, launch.threads, launch.shared),
            std::make_tuple(2u, 3u, 2u, 128u, 65536u));
  const LinearArgs args = argsOf(launch);
  EXPECT_EQ(args.m, 33);
  EXPECT_EQ(args.ldx, 256);
  EXPECT_EQ(args.ldy, 80);
  EXPECT_EQ(args.workspace, workspace->address());
  EXPECT_EQ(args.counterBytes, kCounterBytes);
  EXPECT_NE(args.weights, 0u);
  EXPECT_NE(args.perm, 0u);
  EXPECT_NE(args.bias, 0u);

  workspace.emplace(*DeviceBuffer::allocate(*device, kernel->workspaceBytes(33) - 1));
  EXPECT_EQ(run(*kernel, 33, 256).code(), Code::InvalidArgument);
}

TEST_F(LinearKernelTest, LargeMIsRunInSeveralLaunches) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 128, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  const auto kernel = LinearKernel::load(*device, imageFor(matrix.descriptor, {8193, kUnboundedM}));
  ASSERT_TRUE(kernel.ok()) << kernel.status().message();
  const int64_t perLaunch = 65535 * 16, m = 2 * perLaunch + 5;
  ASSERT_TRUE(run(*kernel, m, 128).ok());
  ASSERT_EQ(fake.launches.size(), 3u);
  EXPECT_EQ(fake.launches[0].gridY, 65535u);
  EXPECT_EQ(fake.launches[2].gridY, 1u);
  EXPECT_EQ(argsOf(fake.launches[2]).m, 5);
  EXPECT_EQ(argsOf(fake.launches[1]).x, (1u << 20) + uint64_t(perLaunch) * 128 * 2);
  EXPECT_EQ(argsOf(fake.launches[1]).y, (1u << 30) + uint64_t(perLaunch) * 128 * 2);
}

TEST_F(LinearKernelTest, SplitTilesStayWithinTheCounters) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 128, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, kUnboundedM});
  image.launch.splitK = 2;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok());
  const int64_t m = 16 * 8192 + 1; // 8193 blocks of tokens times 2 of rows
  EXPECT_EQ(kernel->workspaceBytes(m), kCounterBytes + kMaxSplitTiles * 2 * 64 * 16 * 4);
  workspace.emplace(*DeviceBuffer::allocate(*device, kernel->workspaceBytes(m)));
  ASSERT_TRUE(run(*kernel, m, 128).ok());
  ASSERT_EQ(fake.launches.size(), 2u);
  for (const FakeLaunch &launch : fake.launches)
    EXPECT_LE(int64_t(launch.gridX) * launch.gridY, kMaxSplitTiles);
}

TEST_F(LinearKernelTest, ItemsOverTokensTakeXThroughAMap) {
  const QuantizedMatrix matrix = makeMatrix(4, 4096, 64, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  KernelImage image = imageFor(matrix.descriptor, {1, 64});
  image.launch.tileN = 128, image.launch.tileM = 32; // 32 row tiles
  image.launch.cluster = image.launch.itemTiles = 2;
  image.launch.itemsOverTokens = true;
  image.launch.xBoxRows = 16;
  fake.smCount = 21;
  for (const bool persistent : {false, true}) {
    image.launch.persistent = persistent;
    const auto kernel = LinearKernel::load(*device, image);
    ASSERT_TRUE(kernel.ok()) << kernel.status().message();
    ASSERT_TRUE(run(*kernel, 64, 64).ok());
    ASSERT_EQ(fake.launches.size(), 1u);
    // Pairs of row tiles: 16 x 2 items of two blocks, or as many pairs as fit.
    EXPECT_EQ(fake.launches[0].gridX, persistent ? 20u : 64u);
    EXPECT_EQ(fake.launches[0].gridY, 1u);
    ASSERT_EQ(fake.launches[0].map.size(), 6u);
    EXPECT_EQ(std::vector<uint64_t>(fake.launches[0].map.begin() + 1, fake.launches[0].map.end()),
              (std::vector<uint64_t>{64, 64, 128, 64, 16}));
  }
}

TEST_F(LinearKernelTest, NoTokensAreNoWork) {
  const QuantizedMatrix matrix = makeMatrix(4, 64, 128, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  const auto kernel = LinearKernel::load(*device, imageFor(matrix.descriptor, {1, 16}));
  ASSERT_TRUE(kernel.ok());
  EXPECT_TRUE(run(*kernel, 0, 128, 0).ok());
  EXPECT_TRUE(fake.launches.empty());
}

TEST_F(LinearKernelTest, Refusals) {
  const QuantizedMatrix matrix = makeMatrix(4, 64, 128, 64, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  const auto kernel = LinearKernel::load(*device, imageFor(matrix.descriptor, {1, 16}));
  ASSERT_TRUE(kernel.ok());
  EXPECT_TRUE(run(*kernel, 16, 128).ok());
  for (const auto &[status, part] : std::vector<std::pair<Status, std::string_view>>{
           {run(*kernel, 17, 128), "outside its range"},
           {run(*kernel, 2, 127), "row strides"},
           {run(*kernel, 2, 129), "not aligned to 16 bytes"},
           {run(*kernel, 1, 128, (1 << 20) + 2), "not aligned to 16 bytes"},
           {run(*kernel, 1, 128, 0), "null"}}) {
    EXPECT_EQ(status.code(), Code::InvalidArgument);
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(kernel->descriptor().print()), std::string::npos);
  }
  EXPECT_TRUE(fake.launches.empty());
  EXPECT_TRUE(run(*kernel, 1, 129).ok()) << "the stride of a single row does not matter";

  layer.emplace(*DeviceLayer::upload(*device, packWeights(makeMatrix(4, 64, 256, 64, false))));
  EXPECT_NE(run(*kernel, 1, 256).message().find("the layer is"), std::string::npos);
}

TEST_F(LinearKernelTest, APermutedLayerNeedsAKernelThatReadsIt) {
  const QuantizedMatrix matrix = makeMatrix(4, 64, 128, 32, true);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace();
  const auto kernel = LinearKernel::load(*device, imageFor(matrix.descriptor, {1, 16}));
  ASSERT_TRUE(kernel.ok());
  EXPECT_NE(run(*kernel, 1, 128).message().find("permuted"), std::string::npos);
}

TEST_F(LinearKernelTest, ImpossibleLaunchFactsAreRefused) {
  const QuantizedMatrix matrix = makeMatrix(4, 64, 128, 64, false);
  const KernelImage good = imageFor(matrix.descriptor, {1, 16});
  for (const auto change : std::vector<void (*)(LaunchFacts &)>{
           [](LaunchFacts &f) { f.threads = 2048; }, [](LaunchFacts &f) { f.tileM = 0; },
           [](LaunchFacts &f) { f.paddedN = 32; }, [](LaunchFacts &f) { f.sharedBytes = 1 << 20; },
           [](LaunchFacts &f) {
             f.splitK = 2;
             f.paddedN = int64_t(64) * 20000;
           }}) {
    KernelImage image = good;
    change(image.launch);
    EXPECT_FALSE(LinearKernel::load(*device, image).ok());
  }
  KernelImage image = good;
  image.descriptor = "nonsense";
  EXPECT_EQ(LinearKernel::load(*device, image).status().code(), Code::InvalidArgument);
}

TEST_F(LinearKernelTest, PermutesXInFront) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 256, 64, true);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, 16});
  image.launch.usesPermutation = image.launch.overlaps = true;
  image.launch.xVector = 2;
  image.launch.permutedK = 256;
  image.launch.permuteShared = 512;
  image.launch.permuteThreads = 512;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->workspaceBytes(3), kCounterBytes + 3 * 512);
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, kernel->workspaceBytes(3)));
  ASSERT_TRUE(run(*kernel, 3, 257, (1 << 20) + 2).ok());
  ASSERT_EQ(fake.launches.size(), 2u);
  const LinearArgs first = argsOf(fake.launches[0]), second = argsOf(fake.launches[1]);
  EXPECT_EQ(fake.launches[0].entry, kPermuteEntry);
  EXPECT_EQ(fake.launches[0].gridY, 3u);
  EXPECT_EQ(fake.launches[0].threads, 512u);
  EXPECT_FALSE(fake.launches[0].overlaps); // nobody asked for it
  EXPECT_EQ(first.x, (1u << 20) + 2);
  EXPECT_EQ(first.ldx, 257);
  EXPECT_NE(first.perm, 0u);
  EXPECT_EQ(first.y, workspace->address() + uint64_t(kCounterBytes));
  EXPECT_EQ(first.ldy, 256);
  EXPECT_TRUE(fake.launches[1].overlaps); // with the one in front
  EXPECT_EQ(second.overlaps, 1);
  EXPECT_EQ(second.x, first.y);
  EXPECT_EQ(second.ldx, 256);
}

TEST_F(LinearKernelTest, BlocksThatHoldNoRowShareItsColumns) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 16384, 64, true);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, 1024});
  image.launch.usesPermutation = image.launch.overlaps = true;
  image.launch.permutedK = 16384;
  for (const int64_t staged : {int64_t(0), int64_t(32768)})
    for (const int threads : {64, 512}) {
      image.launch.permuteShared = staged;
      image.launch.permuteThreads = threads;
      const auto kernel = LinearKernel::load(*device, image);
      ASSERT_TRUE(kernel.ok());
      workspace.emplace(*DeviceBuffer::allocateZeroed(*device, kernel->workspaceBytes(1024)));
      for (const int64_t m : {1, 1024}) {
        ASSERT_TRUE(run(*kernel, m, 16384).ok());
        const bool shares = staged == 0 || m == 1;
        EXPECT_EQ(fake.launches[0].gridX, shares ? 16384u / (8 * threads) : 1u);
      }
    }
  image.launch.permuteThreads = 0;
  EXPECT_EQ(LinearKernel::load(*device, image).status().code(), Code::DataCorrupt);
}

TEST_F(LinearKernelTest, RefusesAWorkspaceThatIsNotAligned) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 256, 64, true);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  KernelImage image = imageFor(matrix.descriptor, {1, 16});
  image.launch.usesPermutation = true;
  image.launch.permutedK = 256;
  image.launch.permuteThreads = 64;
  const auto kernel = LinearKernel::load(*device, image);
  ASSERT_TRUE(kernel.ok());
  const DeviceBuffer buffer = *DeviceBuffer::allocateZeroed(*device, 1 << 20);
  const auto stream = Stream::create(*device);
  const int64_t bytes = kernel->workspaceBytes(3);
  for (const auto &[address, ok] : {std::pair(buffer.address() + 16, true),
                                    {buffer.address() + 2, false},
                                    {CuDevicePtr(0), false}}) {
    const Status status =
        kernel->run(*layer, 1 << 20, 256, 3, 1 << 30, 128, DeviceSpan(address, bytes), *stream);
    EXPECT_EQ(status.ok(), ok) << status.message();
  }
}

TEST_F(LinearKernelTest, OverlapsOnlyWhereTheKernelWaits) {
  const QuantizedMatrix matrix = makeMatrix(4, 128, 256, 128, false);
  layer.emplace(*DeviceLayer::upload(*device, packWeights(matrix)));
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 0));
  for (const bool kernelWaits : {false, true})
    for (const bool wanted : {false, true}) {
      KernelImage image = imageFor(matrix.descriptor, {1, 16});
      image.launch.overlaps = kernelWaits;
      const auto kernel = LinearKernel::load(*device, image);
      ASSERT_TRUE(kernel.ok());
      ASSERT_TRUE(run(*kernel, 3, 256, 1 << 20, wanted).ok());
      ASSERT_EQ(fake.launches.size(), 1u);
      EXPECT_EQ(fake.launches[0].overlaps, kernelWaits && wanted);
      EXPECT_EQ(argsOf(fake.launches[0]).overlaps, kernelWaits && wanted);
      EXPECT_EQ(fake.launches[0].gridX, 2u);
      EXPECT_EQ(fake.launches[0].threads, 128u);
      EXPECT_EQ(fake.launches[0].shared, 65536u);
    }
}

} // namespace
} // namespace gptqc::fixtures
