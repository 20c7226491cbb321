// Linear and Dispatcher on the fake driver: which kernel runs what, what a run costs the host, how
// weights get to the GPU, and what is refused.
#include "runtime/dispatch/Linear.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>

#include "runtime/device/SupportArgs.h"
#include "tests/runtime/device/FakeDevice.h"
#include "tests/runtime/dispatch/FakeKernels.h"

namespace gptqc {
namespace {

/// 4-bit words whose bytes count up, with one scale for all.
struct Tensors {
  explicit Tensors(int64_t n = 128, int64_t k = 256) : words(size_t(k / 8 * n)) {
    std::iota(words.begin(), words.end(), 0);
    std::vector<uint16_t> scales(size_t(k / 64 * n), 0x2c00);
    LayerCodes layer;
    layer.n = n, layer.k = k, layer.groupSize = 64, layer.scales = scales;
    part.facts = *layerWithoutCodes(layer);
    part.words = words.data();
  }
  std::vector<uint32_t> words;
  LinearPart part;
};

class LinearTest : public FakeDevice {
protected:
  void make(bool compileInRun = true, int splitK = 1, int xVector = 16) {
    DispatcherOptions options;
    options.compileInRun = compileInRun;
    options.threads = 4;
    options.store.compiler = fakeCompiler(compiled, splitK, xVector);
    dispatcher = std::make_shared<Dispatcher>(*device, options);
    linear = layerOf({&tensors.part, 1});
    workspace.emplace(*DeviceBuffer::allocateZeroed(*device, 1 << 20));
    stream.emplace(*Stream::create(*device));
    fake.launches.clear();
  }
  std::unique_ptr<Linear> layerOf(std::span<const LinearPart> parts, const LayerPlan &plan = {}) {
    auto made = Linear::create(dispatcher, parts, plan, false, *Stream::create(*device));
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? std::move(*made) : nullptr;
  }
  Status run(int64_t m, uint64_t x = 1 << 20, int64_t ldx = 256) {
    return linear->run(x, ldx, m, 1 << 30, 128, *workspace, *stream);
  }
  void TearDown() override {
    linear.reset();
    workspace.reset();
    stream.reset();
    dispatcher.reset();
    FakeDevice::TearDown();
  }

  Tensors tensors;
  std::atomic<int> compiled = 0;
  std::shared_ptr<Dispatcher> dispatcher;
  std::unique_ptr<Linear> linear;
  std::optional<DeviceBuffer> workspace;
  std::optional<Stream> stream;
};

TEST_F(LinearTest, BucketsAreThoseOfTheDescriptor) {
  const std::vector<MRange> buckets = allBuckets();
  ASSERT_EQ(buckets.size(), kBucketCount);
  for (size_t i = 0; i < buckets.size(); ++i) {
    EXPECT_EQ(bucketIndex(buckets[i].lo), i);
    EXPECT_EQ(bucketIndex(std::min(buckets[i].hi, int64_t(1) << 40)), i);
  }
}

TEST_F(LinearTest, EveryMGetsItsBucketsKernel) {
  make();
  for (const int64_t m : {1, 2, 3, 4, 5, 100, 8192, 8193, 70000})
    EXPECT_TRUE(run(m).ok()) << m;
  EXPECT_EQ(compiled, 7); // 1, 2, 3-4, 5-8, 65-128, 4097-8192, 8193-
  EXPECT_TRUE(run(0, 0).ok());
  EXPECT_EQ(fake.launches.size(), 9u);
}

TEST_F(LinearTest, PreparedRunsNeitherAllocateNorWait) {
  make(false);
  ASSERT_TRUE(linear->prepare(1, 64).ok());
  EXPECT_EQ(compiled, 7);
  const FakeState before = fake;
  constexpr int kRuns = 10000;
  fake.record = false;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRuns; ++i)
    ASSERT_TRUE(run(1 + i % 64).ok());
  const double nanoseconds =
      std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  RecordProperty("nanoseconds_per_run", int(nanoseconds / kRuns));
  EXPECT_EQ(fake.launchCount, before.launchCount + kRuns);
  EXPECT_EQ(fake.allocationCalls, before.allocationCalls);
  EXPECT_EQ(fake.synchronizations, before.synchronizations);
  EXPECT_EQ(fake.moduleLoads, before.moduleLoads);
  EXPECT_EQ(fake.copies2d, before.copies2d);
}

TEST_F(LinearTest, WithoutJitARunMustBePrepared) {
  make(false);
  const Status status = run(5);
  EXPECT_EQ(status.code(), Code::NotFound);
  EXPECT_NE(status.message().find("m5..8"), std::string::npos) << status.message();
  EXPECT_EQ(linear->workspaceBytes(5, true).status().code(), Code::NotFound);
  EXPECT_EQ(linear->prepare(0, 4).code(), Code::InvalidArgument);
  EXPECT_EQ(linear->prepare(5, 4).code(), Code::InvalidArgument);
  ASSERT_TRUE(linear->prepare(5, 6).ok());
  EXPECT_TRUE(run(5).ok());
}

TEST_F(LinearTest, ThreadsCompileAKernelOnce) {
  make();
  fake.record = false;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] { EXPECT_TRUE(linear->prepare(1, 8192).ok()); });
  }
  EXPECT_EQ(compiled, 14);
  const auto twin = layerOf({&tensors.part, 1});
  EXPECT_TRUE(twin->prepare(1, 8192).ok());
  EXPECT_EQ(compiled, 14) << "layers of one shape share kernels";
}

TEST_F(LinearTest, MisalignedXIsCopiedFirst) {
  make(true, 2);
  std::vector<uint16_t> x(300 * 3 + 1, 7);
  const auto address = reinterpret_cast<uint64_t>(x.data());
  ASSERT_TRUE(linear->prepare(1, 4).ok());
  const int64_t aligned = *linear->workspaceBytes(3, true),
                bytes = *linear->workspaceBytes(3, false);
  EXPECT_EQ(bytes, aligned + 3 * 256 * 2);
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, bytes));
  fake.copies2d = 0;
  ASSERT_TRUE(run(3, address, 300).ok());
  EXPECT_EQ(fake.copies2d, 1);
  LinearArgs args;
  std::memcpy(&args, fake.launches.back().args.data(), sizeof args);
  EXPECT_EQ(args.x, workspace->address() + uint64_t(aligned));
  EXPECT_EQ(args.ldx, 256);
  EXPECT_EQ(reinterpret_cast<const uint16_t *>(args.x)[3 * 256 - 1], 7);
  workspace.emplace(*DeviceBuffer::allocateZeroed(*device, bytes - 1));
  const Status status = run(3, address, 300);
  EXPECT_EQ(status.code(), Code::InvalidArgument);
  EXPECT_NE(status.message().find(std::to_string(bytes)), std::string::npos) << status.message();
  EXPECT_EQ(run(3, 1 << 20, 100).code(), Code::InvalidArgument) << "a stride below K";
}

TEST_F(LinearTest, StagedXLeavesTheCountersAlone) {
  make(true, 1);
  ASSERT_TRUE(linear->prepare(1, 1).ok());
  EXPECT_EQ(*linear->workspaceBytes(1, true), 0);
  EXPECT_EQ(*linear->workspaceBytes(1, false), kCounterBytes + 512);
  EXPECT_EQ(*linear->workspaceBytes(0, false), 0);
}

TEST_F(LinearTest, PartsAreGatheredSideBySide) {
  make();
  Tensors k(64), v(64);
  for (uint32_t &word : v.words)
    word += 1000000;
  fake.launches.clear();
  fake.copies2d = 0;
  const LinearPart parts[] = {tensors.part, k.part, v.part};
  const auto fused = layerOf(parts);
  ASSERT_TRUE(fused);
  EXPECT_EQ(fused->descriptor().print(), "w4 g64 sym f16->f16 n256 k256 m1..");
  EXPECT_EQ(fake.copies2d, 3);
  ASSERT_EQ(fake.launches[0].entry, "repack_weights");
  RepackArgs args;
  std::memcpy(&args, fake.launches[0].args.data(), sizeof args);
  EXPECT_EQ(args.kind, RepackSource::Continuous);
  EXPECT_EQ(args.n, 256);
}

TEST_F(LinearTest, ExpertsAreOneLayer) {
  make();
  const std::vector<LinearPart> parts(6, tensors.part); // gate and up of three experts
  const Stream order = *Stream::create(*device);
  const LayerPlan gated = {.siluMul = true};
  auto made = Linear::create(dispatcher, parts, gated, false, order, false, 3);
  ASSERT_TRUE(made.ok()) << made.status().message();
  linear = std::move(*made);
  EXPECT_EQ(linear->descriptor().print(), "w4 g64 sym f16->f16 n256 k256 experts3 m1.. silu_mul");
  ASSERT_TRUE(linear->prepare(1, 64).ok());
  const int64_t calls = fake.allocationCalls;
  fake.launches.clear();
  const auto grouped = [&](int64_t m, uint64_t offsets) {
    return linear->run(1 << 20, 256, m, 1 << 30, 128, *workspace, *stream, offsets);
  };
  ASSERT_TRUE(grouped(40, 4096).ok());
  EXPECT_EQ(fake.launches.size(), 1u);
  EXPECT_EQ(fake.launches[0].gridY, 5u);
  EXPECT_EQ(fake.allocationCalls, calls);
  EXPECT_EQ(run(40).code(), Code::InvalidArgument) << "no offsets";
  EXPECT_EQ(linear->dequantize(4096, DType::F16, *stream).code(), Code::Unsupported);
  EXPECT_EQ(Linear::create(dispatcher, parts, {}, false, order, false, 4).status().code(),
            Code::InvalidArgument)
      << "six parts for four experts";
  Tensors other(64);
  const LinearPart differ[] = {tensors.part, other.part};
  const auto refused = Linear::create(dispatcher, differ, {}, false, order, false, 2);
  EXPECT_NE(refused.status().message().find("experts 0 and 1"), std::string::npos);
}

TEST_F(LinearTest, ExpertsCannotShareAPermutedX) {
  make();
  std::vector<LinearPart> parts(2, tensors.part);
  for (int64_t k = 0; k < 256; ++k)
    parts[1].facts.groupIndex.push_back(int32_t(k % 4));
  parts[1].facts.descriptor.actOrder = true;
  const Stream order = *Stream::create(*device);
  const auto made = Linear::create(dispatcher, parts, {}, false, order, false, 2);
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_TRUE((*made)->descriptor().actOrder);
  const auto permuted =
      Linear::create(dispatcher, parts, {.xIsPermuted = true}, false, order, false, 2);
  EXPECT_NE(permuted.status().message().find("leave x_is_permuted off"), std::string::npos)
      << permuted.status().message();
}

TEST_F(LinearTest, DeviceWordsAreReadInPlace) {
  make();
  LinearPart part = tensors.part;
  part.onDevice = true; // the fake driver's device memory is host memory
  fake.launches.clear();
  fake.copies2d = 0;
  const auto whole = layerOf({&part, 1});
  EXPECT_EQ(fake.copies2d, 0);
  RepackArgs args;
  std::memcpy(&args, fake.launches[0].args.data(), sizeof args);
  EXPECT_EQ(args.source, reinterpret_cast<uint64_t>(tensors.words.data()));
  const auto half = layerOf({&part, 1}, {.rows = {1, 2}});
  EXPECT_EQ(fake.copies2d, 1);
  EXPECT_EQ(half->descriptor().n, 64);
  const auto rank = layerOf({&part, 1}, {.columns = {1, 2}});
  EXPECT_EQ(rank->descriptor().k, 128);
  EXPECT_EQ(rank->inputColumns().front(), 128);
}

TEST_F(LinearTest, DequantizesIntoMemoryOfTheCaller) {
  make();
  fake.launches.clear();
  ASSERT_TRUE(linear->dequantize(4096, DType::BF16, *stream).ok());
  ASSERT_EQ(fake.launches.size(), 1u);
  EXPECT_EQ(fake.launches[0].entry, "dequantize_packed");
  DequantizePackedArgs args;
  std::memcpy(&args, fake.launches[0].args.data(), sizeof args);
  EXPECT_EQ(args.dense, 4096u);
  EXPECT_EQ(args.n, linear->descriptor().n);
  EXPECT_EQ(args.k, linear->descriptor().k);
  EXPECT_EQ(args.outBf16, 1);
  EXPECT_EQ(linear->dequantize(0, DType::F16, *stream).code(), Code::InvalidArgument);
}

TEST_F(LinearTest, Refusals) {
  make();
  const auto refused = [&](const LinearPart &part, std::string_view says) {
    const auto made = Linear::create(dispatcher, {&part, 1}, {}, false, *Stream::create(*device));
    ASSERT_FALSE(made.ok());
    EXPECT_NE(made.status().message().find(says), std::string::npos) << made.status().message();
  };
  LinearPart part = tensors.part;
  part.words = nullptr;
  refused(part, "qweight is null");
  part = tensors.part;
  part.facts.descriptor.k = 252;
  refused(part, "whole words");
  part = tensors.part;
  part.facts.descriptor.bits = 3;
  part.facts.descriptor.k = 288 + 16;
  refused(part, "whole words");
  EXPECT_EQ(run(-1).code(), Code::InvalidArgument);
  EXPECT_EQ(run(1, 0).code(), Code::InvalidArgument);
  fake.failing = "cuLaunchKernel";
  fake.failure = 1;
  EXPECT_EQ(run(1).code(), Code::DeviceError);
  fake.failing.clear();
  EXPECT_TRUE(run(1).ok());
  EXPECT_EQ(initializeWorkspace({0, 16}, *stream).code(), Code::InvalidArgument);
  EXPECT_TRUE(initializeWorkspace({0, 0}, *stream).ok());
  EXPECT_TRUE(initializeWorkspace(*workspace, *stream).ok());
}

TEST_F(LinearTest, ADispatcherWithoutKernelsSaysSo) {
  dispatcher = std::make_shared<Dispatcher>(*device, DispatcherOptions());
  const auto made =
      Linear::create(dispatcher, {&tensors.part, 1}, {}, false, *Stream::create(*device));
  EXPECT_EQ(made.status().code(), Code::NotFound);
  EXPECT_NE(made.status().message().find("support/repack.cu"), std::string::npos);
}

} // namespace
} // namespace gptqc
